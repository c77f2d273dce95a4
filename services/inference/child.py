"""What processes started by an engine run first: an orphaned engine would hold memory, and a device, for ever.

`multiprocessing` imports the main module of the parent into each child that it spawns; `__main__` names this one.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone, however the parent ended (Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        # It was gone before the kernel knew what to do.
        os._exit(1)


if __name__ == "__mp_main__":
    die_with_parent()
