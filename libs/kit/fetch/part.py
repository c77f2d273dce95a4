"""The directory in which a version grows beside its target, until one rename makes it visible."""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from libs.contracts.registry import Blob, Manifest
from libs.kit.digests import Check
from libs.kit.errors import ServiceError
from libs.kit.fetch.blobs import Sink
from libs.kit.fetch.layout import Piece

_READ_BYTES: Final = 1 << 20


class PartDirectory:
    """Made, filled and renamed by one process at a time: the one that holds its lock."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path: Final = target.parent / f".{target.name}.part"
        self._lock = -1
        self._files: dict[str, int] = {}

    def try_lock(self) -> bool:
        """Make the directory and take its lock; False while another process has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have renamed or removed what was opened here.
            if os.path.samestat(os.fstat(fd), self.path.stat()):
                self._lock, fd = fd, -1
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            if fd >= 0:
                os.close(fd)
        return self._lock >= 0

    def check_target(self) -> None:
        """Refuse a target that holds something.

        Raises:
            ServiceError: `conflict`.
        """
        if self._target.exists() and any(self._target.iterdir()):
            self.discard()
            raise ServiceError("conflict", f"{self._target} is there already and is not empty.")

    def unlock(self) -> None:
        """Close everything; what is there stays for the next try."""
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def discard(self) -> None:
        """Remove what is there; the lock stays until `unlock`."""
        shutil.rmtree(self.path, ignore_errors=True)

    def prepare(self, manifest: Manifest) -> set[str]:
        """Open every file at its full size; the paths that an earlier try has begun.

        Raises:
            OSError: no room, no permission.
        """
        wanted = {file.path for file in manifest.files}
        begun = set()
        for path in sorted(self.path.rglob("*"), reverse=True):
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or (path.is_file() and name not in wanted):
                path.unlink()
            elif path.is_file():
                begun.add(name)
        for file in manifest.files:
            path = self.path / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = self._files[file.path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            if os.fstat(fd).st_size != file.size_bytes:
                begun.discard(file.path)
                os.ftruncate(fd, 0)
                if file.size_bytes:
                    # Reserved now: a disk that is too small says so before the download, not at its end.
                    os.posix_fallocate(fd, 0, file.size_bytes)
        return begun

    def sinks(self, piece: Piece) -> list[Sink]:
        """Where a blob's bytes go."""
        return [Sink(self._files[path], offset) for path, offset in piece.places]

    def holds(self, piece: Piece, begun: set[str]) -> bool:
        """Whether an earlier try has brought this blob to all its places."""
        if any(path not in begun for path, _ in piece.places):
            return False
        return all(self._is_at(piece.blob, path, offset) for path, offset in piece.places)

    def _is_at(self, blob: Blob, path: str, offset: int) -> bool:
        check, end = Check(blob), offset + blob.size_bytes
        while offset < end and (data := os.pread(self._files[path], min(_READ_BYTES, end - offset), offset)):
            check.update(data)
            offset += len(data)
        return check.holds()

    def sync(self, path: str) -> None:
        """Have the disk hold what was written to one file so far."""
        os.fdatasync(self._files[path])

    def publish(self, *, read_only: bool, durable: bool = True) -> None:
        """Rename it to its target; from here on it is complete for everybody.

        Raises:
            ServiceError: `conflict`: the target is there and not empty.
        """
        folders = sorted(path for path in self.path.rglob("*") if path.is_dir())
        if durable:
            for folder in (*folders, self.path):
                _sync_directory(folder)
        if read_only:
            for fd in self._files.values():
                os.fchmod(fd, 0o444)
            for folder in reversed(folders):
                folder.chmod(0o555)
        try:
            self.path.rename(self._target)
        except OSError as error:
            raise ServiceError("conflict", f"{self._target} is there already and is not empty.") from error
        if read_only:
            self._target.chmod(0o555)
        if durable:
            _sync_directory(self._target.parent)


def remove_tree(directory: Path) -> None:
    """Remove a fetched version, though it is read-only; nothing happens if it is not there."""
    if not directory.exists():
        return
    for folder in (directory, *(path for path in directory.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o755)
    try:
        shutil.rmtree(directory)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # Whoever synced it has just noted in it that the disk holds it; he does so once.
        shutil.rmtree(directory)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
