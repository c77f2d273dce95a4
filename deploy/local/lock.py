"""One supervisor per home: a lock that the kernel gives back when its holders are dead, however they died."""

import fcntl
import os
from typing import Final

from deploy.local.home import Home, private_directory

ALREADY_RUNNING: Final = 3
"""Exit status of a guardian that did not get the lock."""


def acquire(home: Home) -> int | None:
    """Take the lock; returns its descriptor, or None when somebody else holds it."""
    private_directory(home.root)
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(home: Home) -> bool:
    """Whether a supervisor runs on this home."""
    if not home.lock_file.exists():
        return False
    descriptor = acquire(home)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
