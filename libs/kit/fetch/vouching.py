"""What vouches for a version in the cache: until the next boot the kernel's page cache, from then on the disk.

A version is used as soon as its bytes are checked, and the disk is made to hold them beside that. Two small files say
for which directory of files this is true: `boot` (checked since the machine began) and `synced` (held by the disk).
Where neither is true the machine has crashed meanwhile, and every byte is read again before anybody uses it.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_BOOT: Final = "boot"
_SYNCED: Final = "synced"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Vouchers:
    """Vouches for versions, and syncs them in the background."""

    def __init__(self, boot_file: Path = _BOOT_ID) -> None:
        self._boot_id = _read(boot_file).strip()
        self._syncing: dict[Path, asyncio.Task[None]] = {}

    @property
    def is_lazy(self) -> bool:
        """Whether the disk may be waited for later: this boot of the machine can be told from the next."""
        return bool(self._boot_id)

    def holds(self, files: Path) -> bool:
        """Whether the version in `files` is as it was when it was checked."""
        here = _identity(files)
        folder = files.parent
        return _read(folder / _SYNCED) == here or (self.is_lazy and _read(folder / _BOOT) == f"{self._boot_id} {here}")

    def vouch(self, files: Path) -> None:
        """Every byte in `files` has been checked just now, and the disk holds it unless `is_lazy`."""
        if self.is_lazy:
            (files.parent / _BOOT).write_text(f"{self._boot_id} {_identity(files)}", encoding="ascii")
        else:
            _write_synced(files, _identity(files))

    def sync_later(self, files: Path) -> None:
        """Have the disk hold it, unless it does or is about to."""
        if files in self._syncing or _read(files.parent / _SYNCED) == _identity(files):
            return
        task = asyncio.create_task(asyncio.to_thread(_sync, files), name=f"sync-{files.parent.name[:12]}")
        self._syncing[files] = task
        task.add_done_callback(lambda _: self._syncing.pop(files, None))

    async def settled(self) -> None:
        """Wait until nothing is being synced."""
        await asyncio.gather(*self._syncing.values())


def _sync(files: Path) -> None:
    """Nothing is lost if it fails: the version is read again after a crash, or synced when it is next used."""
    try:
        before = _identity(files)
        for path in (*files.rglob("*"), files):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        _write_synced(files, before)
    except FileNotFoundError:
        log.debug("a version left the cache before it was synced", directory=str(files))
    except OSError as error:
        log.warning("a cached version was not synced", directory=str(files), error=str(error))


def _write_synced(files: Path, identity: str) -> None:
    """Say that the disk holds the directory that was `identity`; true for no other that takes its place."""
    with (files.parent / _SYNCED).open("w", encoding="ascii") as file:
        file.write(identity)
        file.flush()
        os.fsync(file.fileno())


def _identity(files: Path) -> str:
    """Another one for every directory, also for one made later in the same place; empty if there is none."""
    try:
        found = files.stat()
    except FileNotFoundError:
        return ""
    return f"{found.st_ino} {found.st_ctime_ns}"


def _read(path: Path) -> str:
    """A small file's text, empty if it is not there or is not text."""
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
