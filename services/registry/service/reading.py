"""Reads what was uploaded: hashes blobs, and gives ranges of files to those who look into them."""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from libs.contracts.registry import Blob, ManifestFile
from libs.kit.objects import ObjectStore
from services.registry.domain.places import Placed, blob_key

_T = TypeVar("_T")


class BlobReader:
    """Reads blobs of one store, at most `parallel` of them in memory at the same time."""

    def __init__(self, store: ObjectStore, parallel: int) -> None:
        self._store = store
        self._room = asyncio.Semaphore(parallel)
        self._heads = asyncio.Semaphore(32)

    async def sizes(self, place: str, blobs: Iterable[Blob]) -> dict[str, int | None]:
        """What the store says of each blob's size, by digest; None for one that is not there."""

        async def head(blob: Blob) -> tuple[str, int | None]:
            async with self._heads:
                return blob.digest, await self._store.head(blob_key(place, blob.digest))

        return dict(await all_of(head(blob) for blob in blobs))

    async def is_right(self, place: str, blob: Blob) -> bool:
        """Whether the blob is there and its bytes are those of its name."""
        async with self._room:
            digest, size_bytes = hashlib.sha256(), 0
            async for part in self._store.stream(blob_key(place, blob.digest)):
                size_bytes += len(part)
                await asyncio.to_thread(digest.update, part)
        return (digest.hexdigest(), size_bytes) == (blob.digest, blob.size_bytes)

    async def wrong(self, place: str, blobs: Iterable[Blob]) -> set[str]:
        """Digests of those blobs that are missing or not what their names say."""
        checked = list(blobs)
        right = await all_of(self.is_right(place, blob) for blob in checked)
        return {blob.digest for blob, ok in zip(checked, right, strict=True) if not ok}


class FileReader:
    """Ranges of a version's files, whatever blobs they lie in."""

    def __init__(self, store: ObjectStore, placed: Placed) -> None:
        self._store = store
        self._place = placed.place
        self._files: Mapping[str, ManifestFile] = {file.path: file for file in placed.manifest.files}

    async def __call__(self, path: str, offset: int, length: int) -> bytes:
        """At most `length` bytes of the file `path` from `offset` on; what is missing in the store is missing here."""
        parts = []
        for blob in self._files[path].blobs:
            if offset >= blob.size_bytes:
                offset -= blob.size_bytes
                continue
            if length <= 0:
                break
            wanted = min(length, blob.size_bytes - offset)
            key = blob_key(self._place, blob.digest)
            parts.append(await self._store.get_range(key, offset, wanted) or b"")
            offset, length = 0, length - wanted
        return b"".join(parts)


async def all_of(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Results of all, beside one another; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
