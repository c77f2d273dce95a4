"""Counts the instructions of processes with `perf`, where there is one and the machine lets it.

They are far steadier than processor time: neither the clock's speed, nor a cache, nor a neighbour is in them.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from typing import Final

from benchmarks.isolation import die_with_parent

_PROGRAM: Final = "perf"
_ATTACHED_S: Final = 0.5
"""By then it counts; it does not say when it begins."""
_END_S: Final = 20.0


class Count:
    """The instructions of some processes and all of their threads, from now on."""

    def __init__(self, pids: Iterable[int]) -> None:
        """Begin; `settle` says when all that have begun do count."""
        self._perf = subprocess.Popen(
            [_PROGRAM, "stat", "-e", "instructions", "-x,", "-p", ",".join(map(str, pids))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - called by the one thread that measures
        )

    def end(self) -> int | None:
        """How many there were; None if they could not be counted all the time."""
        self._perf.send_signal(signal.SIGINT)
        try:
            _, said = self._perf.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._perf.kill()
            self._perf.communicate()
            return None
        return parse(said)


def settle() -> None:
    """Wait until what has begun counts."""
    time.sleep(_ATTACHED_S)


def can_count() -> bool:
    """Whether this machine counts instructions of processes that run already."""
    if shutil.which(_PROGRAM) is None:
        return False
    count = Count([os.getpid()])
    settle()
    return bool(count.end())


def parse(said: str) -> int | None:
    """What `perf stat -x,` says: value, unit, event, time counted, percent of the time."""
    total = None
    for fields in (line.split(",") for line in said.splitlines()):
        if len(fields) < 5 or not fields[2].startswith("instructions"):
            continue
        if not fields[0].isdecimal() or float(fields[4]) < 100:
            return None
        total = (total or 0) + int(fields[0])
    return total
