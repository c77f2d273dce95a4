"""Children that do not outlive the test run, however it ends."""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For `preexec_fn`: have the kernel kill this child when the test run dies, even by `kill -9`."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_group(group: int) -> None:
    """Kill every process of a group; one that is gone already does not matter."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
