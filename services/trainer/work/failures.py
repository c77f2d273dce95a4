"""What went wrong, as a code that the rest of the platform knows."""

import errno
import traceback
from typing import Final

from libs.kit.errors import ServiceError
from services.trainer.work.order import Failed

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_WORDS: Final = ("No space left on device", "os error 28", "os error 122", "os error 27", "File too large")
"""Of libraries that wrap the error of the system in one of their own."""
_MEMORY_WORDS: Final = ("out of memory", "can't allocate memory", "Cannot allocate memory", "not enough memory")


def failure_of(error: BaseException) -> Failed:
    """The report of an exception that ended the work."""
    if isinstance(error, ServiceError):
        return Failed(code=error.code, message=error.message)
    text = f"{type(error).__name__}: {error}"
    if (isinstance(error, OSError) and error.errno in _FULL) or any(word in text for word in _FULL_WORDS):
        return Failed(code="disk_full", message=f"The disk is full; the last whole checkpoint is kept. {text[:300]}")
    if isinstance(error, MemoryError) or any(word in text for word in _MEMORY_WORDS):
        return Failed(
            code="out_of_memory",
            message="There is not enough memory. Raise `accumulation`, or lower `batch_rows` or `max_tokens`; the last"
            f" checkpoint is kept. {text[:300]}",
        )
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in last)
    return Failed(code="internal_error", message=f"{text[:500]}{where}")
