"""Becomes a process that works for a trainer: in line behind everybody, as told, and gone when its trainer is.

Run as a plain script with `python -I -S`, so that it costs some milliseconds; it imports the standard library only.

    launch.py PARENT_PID idle|low|normal PROGRAM ARGUMENT…
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOWEST = 19
_FIRST_TO_GO = "600"
"""When memory is short the kernel rather ends this than a service; 1000 would be the first of all."""


def main() -> None:
    """Prepare this process, then replace it by the program."""
    parent, priority, program = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if priority != "normal":
        os.nice(_LOWEST)
    if priority == "idle":
        # A container may forbid it; the lowest nice value is then what there is.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the trainer is gone")
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(program[0], program)  # noqa: S606 - this is the whole purpose


if __name__ == "__main__":
    main()
