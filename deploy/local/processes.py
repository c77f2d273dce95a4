"""Finding and ending processes through /proc: descendants of a supervisor, members of a session, strays of a home."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.home import Home
from libs.kit.clock import monotonic_s

MARKER: Final = "LLMOS_STACK_ID"
_PROC: Final = Path("/proc")
_POLL_S: Final = 0.02
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True, kw_only=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    zombie: bool
    start_ticks: int
    """Kernel ticks since boot; with the pid it names one process for ever."""


def table() -> list[Process]:
    """Every process that can be seen now."""
    return [
        process for path in _PROC.iterdir() if path.name.isdigit() and (process := look(int(path.name))) is not None
    ]


def look(pid: int) -> Process | None:
    """What the kernel says about `pid`, or None when there is no such process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may hold spaces and brackets
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        zombie=fields[0] in (b"Z", b"X"),
        start_ticks=int(fields[19]),
    )


def alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie does not."""
    process = look(pid)
    return process is not None and not process.zombie


def descendants(pid: int) -> list[int]:
    """Living children of `pid`, their children, and so on."""
    children: dict[int, list[int]] = defaultdict(list)
    living = set()
    for process in table():
        children[process.parent].append(process.pid)
        if not process.zombie:
            living.add(process.pid)
    found, todo = [], [pid]
    while todo:
        for child in children[todo.pop()]:
            todo.append(child)
            if child in living:
                found.append(child)
    return found


def session_members(session: int) -> list[int]:
    """Living processes of a session; a part is one session, whatever it forks."""
    return [process.pid for process in table() if process.session == session and not process.zombie]


def strays(home: Home) -> list[int]:
    """Living processes that belong to `home`, but for the one that asks and its ancestors.

    They carry its marker, or write to its logs: programs that set their own title overwrite their environment, so the
    marker alone would miss them.
    """
    marker = f"{MARKER}={home.stack_id()}".encode()
    logs = f"{home.logs.resolve()}/"
    asking = {os.getpid(), *_ancestors(os.getpid())}
    return [
        process.pid
        for process in table()
        if not process.zombie
        and process.pid not in asking
        and (marker in _environment(process.pid) or _writes_below(process.pid, logs))
    ]


class OrphanReaper:
    """Collects zombies that this process has adopted from its dead children."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def collect(self) -> None:
        """Collect those that were there at the last call too; a younger one may have somebody who waits for it."""
        own = os.getpid()
        zombies = {process.pid for process in table() if process.zombie and process.parent == own}
        for pid in zombies & self._seen:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = zombies - self._seen


async def end(find: Callable[[], list[int]], *, grace_s: float, first: signal.Signals | None = signal.SIGTERM) -> None:
    """Ask what `find` finds to stop, wait up to `grace_s`, then kill it; returns when nothing is found any more.

    Args:
        find: the processes to end; asked again and again, for they may fork.
        grace_s: seconds between the request and the kill.
        first: the request; None when they have been asked already.
    """
    if first is not None:
        send(find(), first)
    deadline_s = monotonic_s() + grace_s
    while pids := find():
        if monotonic_s() >= deadline_s:
            send(pids, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)


def adopt_orphans() -> None:
    """From now on, descendants whose parent dies become children of this process instead of `init`'s."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, what: signal.Signals) -> None:
    """Be sent `what` when `parent` dies; at once when it is dead already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(what))
    if os.getppid() != parent:
        os.kill(os.getpid(), what)


def send(pids: Collection[int], what: signal.Signals) -> None:
    """Send a signal to each; those that are gone do not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def _ancestors(pid: int) -> Iterator[int]:
    while (process := look(pid)) is not None and process.parent > 0:
        pid = process.parent
        yield pid


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _writes_below(pid: int, directory: str) -> bool:
    return any(target.startswith(directory) for target in _outputs(pid))


def _outputs(pid: int) -> Iterator[str]:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            yield str((_PROC / str(pid) / "fd" / str(descriptor)).readlink())
