"""The directory in which a job is worked on: its own for every claim, beginning with what an earlier one left whole."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from libs.kit.errors import ServiceError
from libs.kit.fetch import remove_tree

_JOBS: Final = "jobs"
_LOCK: Final = "lock"
CHECKPOINTS: Final = "checkpoints"
RESULT: Final = "result"
MANIFEST: Final = "manifest.json"
"""Written last into a checkpoint."""


class Space:
    """Belongs to one trainer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = -1

    def open(self) -> None:
        """Take the directory.

        Raises:
            ServiceError: `conflict`, another process has it.
        """
        (self.root / _JOBS).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"Another trainer works in {self.root}; give each a TRAINER_DIRECTORY of its own."
            raise ServiceError("conflict", text) from error

    def close(self) -> None:
        """Let another process have it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def begin(self, job_id: str, epoch: int) -> Path:
        """An empty directory for this claim, with the whole checkpoints of earlier claims; removes everything else."""
        directory = self.root / _JOBS / f"{job_id}-{epoch}"
        (directory / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        for other in (self.root / _JOBS).iterdir():
            if other == directory:
                continue
            if other.name.startswith(f"{job_id}-"):
                _inherit(other / CHECKPOINTS, directory / CHECKPOINTS)
            remove(other)
        return directory


def checkpoint_steps(directory: Path) -> list[int]:
    """Steps of the whole checkpoints of a job's directory, rising."""
    found = (directory / CHECKPOINTS).glob(f"*/{MANIFEST}")
    return sorted(int(path.parent.name) for path in found if path.parent.name.isdigit())


def remove(directory: Path) -> None:
    """Remove a directory, whatever its permissions; what cannot be removed is left for the next time."""
    try:
        remove_tree(directory)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)


def _inherit(old: Path, new: Path) -> None:
    for manifest in sorted(old.glob(f"*/{MANIFEST}")):
        target = new / manifest.parent.name
        if not target.exists():
            manifest.parent.rename(target)
