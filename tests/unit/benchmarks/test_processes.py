"""Nothing that the benchmark starts outlives it, and nothing of it can be reached from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import Program, StartError

LIMIT_S = 20.0
SLEEPER = "import time\ntime.sleep(600)"


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_gone(pid: int) -> bool:
    deadline_s = time.monotonic() + LIMIT_S
    while alive(pid) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return not alive(pid)


def test_children_are_stopped_too_even_deaf_ones_in_other_sessions(tmp_path: Path) -> None:
    note = tmp_path / "child"
    deaf = (
        f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen({str(note)!r}, 'w').write('up')\n{SLEEPER}"
    )
    source = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}], start_new_session=True)\n"
        f"print(child.pid, flush=True)\n{SLEEPER}"
    )
    program = Program("parent", [sys.executable, "-c", source], tmp_path / "log")
    program.wait_until(lambda: note.exists() and note.read_text() == "up", LIMIT_S)
    child = int(program.log.read_text())
    assert alive(child)
    program.stop()
    assert wait_gone(child)
    assert wait_gone(program.pid)
    program.stop()


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    program = Program("brief", [sys.executable, "-c", "print('no such model'); raise SystemExit(3)"], tmp_path / "log")
    with pytest.raises(StartError, match=r"(?s)brief ended with 3.*no such model"):
        program.wait_until(lambda: False, LIMIT_S)
    program.stop()


def test_a_program_that_never_gets_ready_is_reported(tmp_path: Path) -> None:
    program = Program("slow", [sys.executable, "-c", SLEEPER], tmp_path / "log")
    with pytest.raises(StartError, match="slow is not ready"):
        program.wait_until(lambda: False, 0.2)
    program.stop()


def test_programs_die_with_a_killed_benchmark(tmp_path: Path) -> None:
    source = (
        "import pathlib, sys, time\n"
        "from benchmarks.processes import Program\n"
        f"program = Program('sleeper', [sys.executable, '-c', {SLEEPER!r}], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(program.pid, flush=True)\n"
        "time.sleep(600)"
    )
    benchmark = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert benchmark.stdout is not None
    pid = int(benchmark.stdout.readline())
    assert alive(pid)
    os.kill(benchmark.pid, signal.SIGKILL)
    benchmark.communicate()
    assert wait_gone(pid)


def test_the_private_network_has_loopback_and_nothing_else() -> None:
    source = (
        "import json, socket\n"
        "from benchmarks.isolation import enter_private_network\n"
        "trouble = enter_private_network()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), timeout=5)\n"
        "print(json.dumps([trouble, [name for _, name in socket.if_nameindex()]]))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    trouble, interfaces = json.loads(done.stdout)
    # Where the kernel forbids it, the benchmark goes on in the ordinary network and says so.
    assert interfaces == ["lo"] or trouble
