"""Log files: bounded in size while their writers keep them open, and read from the end."""

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 10 << 20
_TAIL_BLOCK_BYTES: Final = 64 << 10


def rotate(path: Path, *, most_bytes: int = MOST_BYTES) -> bool:
    """Move a log that has grown too long to `<name>.1`; returns whether it did.

    It is copied and cut, not renamed: its writer keeps the file open and appends. What is written between the two steps
    is lost, which is the price for writers that need no supervisor to have a log.
    """
    try:
        if path.stat().st_size <= most_bytes:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def tail(path: Path, *, lines: int) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BLOCK_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def configure_logging() -> None:
    """The supervisor's own log: one line per event, to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
