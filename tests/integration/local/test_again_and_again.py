"""`./llmos test stack`: starts, kills and stops of the whole stack in a row, with nothing left behind each time."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.home import CHECKOUT
from deploy.local.state import Phase
from tests.integration.local.conftest import Commanded, until

pytestmark = pytest.mark.stack

TIMES = 20
ALONE = """
import fcntl, os, socket, struct, sys
lo = struct.pack("16sH14s", b"lo", 1, b"")
fcntl.ioctl(socket.socket(), 0x8914, lo)  # bring loopback up; there is nothing else in this network
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    assert error.errno == 101, error
else:
    sys.exit("the outside can be reached")
os.execv(sys.executable, [sys.executable, "-P", "-m", "cli", "demo", "--once"])
"""


def test_twenty_starts_and_stops_in_a_row_leave_nothing(own_stack: Commanded) -> None:
    ports = None
    for _ in range(TIMES):
        started = own_stack.run("up", "--detach")
        assert started.returncode == 0, started.stdout + started.stderr
        assert own_stack.ask()
        ports = ports or own_stack.state.ports
        assert own_stack.state.ports == ports, "ports are stable"
        assert own_stack.run("down").returncode == 0
        assert not own_stack.left()


@pytest.mark.parametrize("victims", [("guardian_pid",), ("supervisor_pid",), ("guardian_pid", "supervisor_pid")])
def test_kills_of_whoever_watches_leave_nothing_and_the_next_start_works(
    victims: tuple[str, ...], own_stack: Commanded
) -> None:
    for _ in range(3):
        state = own_stack.up()
        for victim in victims:
            os.kill(getattr(state, victim), signal.SIGKILL)
        until(lambda: not processes.strays(own_stack.home), "the end of all processes")
    own_stack.up()
    assert own_stack.ask()


def test_each_process_that_is_killed_comes_back(own_stack: Commanded) -> None:
    state = own_stack.up()
    for part in state.parts:
        if part.pid:
            os.kill(part.pid, signal.SIGKILL)
            until(lambda name=part.name: _restarts(own_stack, name) == 1, f"the restart of {part.name}")  # type: ignore[misc]
            until(lambda: own_stack.state.phase is Phase.READY, "readiness")
            assert own_stack.ask()


def test_a_stack_in_the_foreground_ends_with_its_command(own_stack: Commanded) -> None:
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        command = subprocess.Popen(
            (sys.executable, "-P", "-m", "cli", "up"), env=own_stack.environment(), stdout=subprocess.DEVNULL
        )
        until(lambda: own_stack.home.state_file.exists() and own_stack.state.phase is Phase.READY, "readiness")
        command.send_signal(how)
        command.wait(timeout=60)
        until(lambda: not own_stack.left(), f"the end after {how.name}")


def _restarts(stack: Commanded, name: str) -> int:
    return next(part.restarts for part in stack.state.parts if part.name == name)


def test_it_needs_nothing_from_the_outside(own_stack: Commanded) -> None:
    if not _can_leave_the_network():
        pytest.skip("this kernel lets us make no network namespace, so the outside cannot be taken away")
    shown = subprocess.run(
        (sys.executable, "-c", ALONE), env=own_stack.environment(), cwd=CHECKOUT, preexec_fn=_leave_the_network,
        timeout=500, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("worker-0") == 4
    assert not own_stack.left()


def _leave_the_network() -> None:
    """Enter a network of one's own; as an ordinary user, by way of a user namespace in which one is root."""
    user, group = os.getuid(), os.getgid()
    new_user, new_network = (0, 0x4000_0000) if user == 0 else (0x1000_0000, 0x4000_0000)
    if ctypes.CDLL(None).unshare(new_user | new_network) != 0:
        raise OSError("unshare")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")


def _can_leave_the_network() -> bool:
    probe = os.fork()
    if probe == 0:
        try:
            _leave_the_network()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(probe, 0)[1]) == 0
