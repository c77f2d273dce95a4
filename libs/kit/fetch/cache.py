"""Versions on this host's disk, shared by all its workers: fetched once, checked, kept while used, bounded in size.

`<root>/<digest>/files` is the version as published, `manifest.json` beside it is written last and says that it is
whole, `size` holds its bytes, and when that file was touched is when it was last asked for. What is true after a crash
of the machine is in `vouching`. Locks are the kernel's (`flock`), so they end with the process that holds them:
exclusive to fetch or remove, shared to use.
"""

import asyncio
import dataclasses
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from libs.contracts.registry import Fetch, Manifest
from libs.contracts.versions import canonical, is_digest
from libs.kit.errors import ServiceError
from libs.kit.fetch import FetchOptions, Pages, check_manifest, fetch_version, remove_tree
from libs.kit.fetch.verify import differences
from libs.kit.fetch.vouching import Vouchers
from libs.kit.metrics.parts import fetched

log = structlog.get_logger(__name__)

_FILES: Final = "files"
_MARKER: Final = "manifest.json"
_SIZE: Final = "size"
_LOCKS: Final = "locks"
_ROOM: Final = "room"
_POLL_S: Final = 0.05
_decode = msgspec.json.Decoder(Manifest).decode


@dataclass
class Lease:
    """A version in use: nobody removes it before `release`, or before this process ends."""

    digest: str
    directory: Path
    """Its files, read-only."""
    manifest: Manifest
    _lock: int

    def release(self) -> None:
        """Not needed any more; safe to call more than once."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class _Entry(NamedTuple):
    """One version in the cache, whole or not."""

    used_ns: int
    digest: str
    size_bytes: int


class Cache:
    """The versions below one directory."""

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        *,
        rehash: bool = False,
        options: FetchOptions | None = None,
        vouchers: Vouchers | None = None,
    ) -> None:
        """Prepare; nothing is made before the first use.

        Args:
            root: directory; every process of the host that names the same one shares it.
            max_bytes: what all versions together may take.
            rehash: read every byte again whenever a version is asked for.
            options: how to fetch.
            vouchers: know what is still true of versions that are here.
        """
        self._root = root
        self._max_bytes = max_bytes
        self._rehash = rehash
        self._vouchers = vouchers or Vouchers()
        self._options = dataclasses.replace(options or FetchOptions(), durable=not self._vouchers.is_lazy)

    async def acquire(self, digest: str, ask: Pages) -> Lease:
        """The version `digest`, from here or fetched; waits while another process fetches it.

        Raises:
            ServiceError: as `fetch_version`; also `storage_unavailable` if what is in use leaves no room.
        """
        if not is_digest(digest):
            raise ServiceError("invalid_manifest", f"{digest[:80]!r} is not a digest.")
        while True:
            lock = self._open_lock(digest)
            kept = False
            try:
                if _try(lock, fcntl.LOCK_SH):
                    lease = await self._use(digest, lock)
                    if lease is not None:
                        kept = True
                        self._vouchers.sync_later(lease.directory)
                        return lease
                # Not shared-to-exclusive in one step: two processes that both do that wait for each other.
                fcntl.flock(lock, fcntl.LOCK_UN)
                if _try(lock, fcntl.LOCK_EX):
                    await self._bring(digest, ask)
                    continue
            except OSError as error:
                raise ServiceError("storage_unavailable", f"The cache at {self._root} fails: {error}.") from error
            finally:
                if not kept:
                    os.close(lock)
            await asyncio.sleep(_POLL_S)

    async def settled(self) -> None:
        """Wait until the disk holds what this process has brought."""
        await self._vouchers.settled()

    def digests(self) -> list[str]:
        """Versions that are here whole, sorted."""
        return sorted(entry.digest for entry in self._entries() if (self._root / entry.digest / _MARKER).exists())

    async def _use(self, digest: str, lock: int) -> Lease | None:
        folder = self._root / digest
        try:
            manifest = _decode((folder / _MARKER).read_bytes())
            os.utime(folder / _SIZE)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            log.warning("a marker in the cache cannot be read, its version is checked again", digest=digest)
            (folder / _MARKER).unlink(missing_ok=True)
            return None
        if not self._vouchers.holds(folder / _FILES):
            return None
        if self._rehash:
            changed = await asyncio.to_thread(differences, folder / _FILES, manifest)
            if changed:
                log.error("a cached version has changed", digest=digest, changed=changed)
                (folder / _MARKER).unlink(missing_ok=True)
                if not _try(lock, fcntl.LOCK_EX):
                    raise ServiceError(
                        "digest_mismatch",
                        f"Files of the cached version {digest[:12]} have changed while another worker uses them: "
                        f"{', '.join(changed)[:300]}. It is fetched again when that worker has ended.",
                    )
                return None
        return Lease(digest, folder / _FILES, manifest, lock)

    async def _bring(self, digest: str, ask: Pages) -> None:
        """Fetch it, with its lock held, unless another process has meanwhile."""
        folder = self._root / digest
        if (folder / _MARKER).exists() and self._vouchers.holds(folder / _FILES):
            return
        first = await ask(0)
        check_manifest(first.manifest, digest)
        try:
            await asyncio.to_thread(self._make_room, digest, sum(file.size_bytes for file in first.manifest.files))
            await asyncio.to_thread(_drop_unfinished, folder / _FILES, first.manifest)
            if not (folder / _FILES).exists():
                with fetched(sum(file.size_bytes for file in first.manifest.files)):
                    await fetch_version(_from(first, ask), folder / _FILES, digest=digest, options=self._options)
            self._vouchers.vouch(folder / _FILES)
            _write_marker(folder / _MARKER, canonical(first.manifest))
        except ServiceError:
            await asyncio.to_thread(_drop_empty, folder)
            raise
        log.info("version fetched", name=first.manifest.name, digest=digest)

    # Room

    def _make_room(self, digest: str, size_bytes: int) -> None:
        """Remove what was used longest ago until `size_bytes` fit, and set them aside for `digest`."""
        with self._locked(_ROOM):
            others = [entry for entry in self._entries() if entry.digest != digest]
            taken_bytes = sum(entry.size_bytes for entry in others)
            for entry in sorted(others):
                if taken_bytes + size_bytes <= self._max_bytes:
                    break
                if self._evict(entry.digest):
                    taken_bytes -= entry.size_bytes
            if taken_bytes + size_bytes > self._max_bytes:
                raise ServiceError(
                    "storage_unavailable",
                    f"The version needs {size_bytes} bytes; versions in use take {taken_bytes} of the "
                    f"{self._max_bytes} that the cache at {self._root} may hold. Let it hold more.",
                )
            folder = self._root / digest
            folder.mkdir(exist_ok=True)
            (folder / _SIZE).write_text(str(size_bytes), encoding="ascii")

    def _entries(self) -> list[_Entry]:
        entries = []
        for size in self._root.glob(f"*/{_SIZE}"):
            try:
                entries.append(_Entry(size.stat().st_mtime_ns, size.parent.name, int(size.read_text("ascii") or "0")))
            except FileNotFoundError:
                continue
        return entries

    def _evict(self, digest: str) -> bool:
        """Remove a version that nobody uses or fetches; False if somebody does."""
        lock = self._open_lock(digest)
        try:
            if not _try(lock, fcntl.LOCK_EX):
                return False
            (self._root / digest / _MARKER).unlink(missing_ok=True)
            remove_tree(self._root / digest)
            log.info("version removed from the cache", digest=digest)
            return True
        finally:
            os.close(lock)

    # Locks

    def _open_lock(self, name: str) -> int:
        """Lock files stay for ever: removing one would let two processes hold the same lock."""
        folder = self._root / _LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = self._open_lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _from(first: Fetch, ask: Pages) -> Pages:
    """The first page is here already."""
    unread = [first]

    async def pages(skip: int) -> Fetch:
        return unread.pop() if unread and not skip else await ask(skip)

    return pages


def _drop_unfinished(files: Path, manifest: Manifest) -> None:
    """A process that died before the marker, or a crash of the machine, left files that must be read again."""
    if files.exists() and differences(files, manifest):
        remove_tree(files)


def _drop_empty(folder: Path) -> None:
    """Forget a version of which nothing has come; blobs that did come are kept for the next try."""
    if folder.exists() and not [path for path in folder.iterdir() if path.name != _SIZE]:
        remove_tree(folder)


def _write_marker(marker: Path, data: bytes) -> None:
    draft = marker.with_name(f".{marker.name}")
    draft.write_bytes(data)
    draft.rename(marker)
