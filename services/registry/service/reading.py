"""Reads what was uploaded: hashes blobs, and gives ranges of files to those who look into them."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

from libs.contracts.registry import Blob, ManifestFile
from libs.kit.digests import Digesting
from libs.kit.objects import ObjectStore
from services.registry.domain.places import Placed, blob_key

_T = TypeVar("_T")


class Reading(Enum):
    """What the bytes of a blob are found to be."""

    RIGHT = auto()
    WRONG = auto()
    """Missing, or not those of its name."""
    MISSTATED = auto()
    """Those of its name; its BLAKE3 is not the one that the manifest states."""


class Faults(NamedTuple):
    """Digests of blobs that are not as a manifest says; those of `misstated` are right themselves."""

    wrong: set[str]
    misstated: set[str]


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

    async def read(self, place: str, blob: Blob) -> Reading:
        """Read a blob whole and compare it with its name, and with its BLAKE3 where one is stated."""
        async with self._room:
            hashed, size_bytes = Digesting(), 0
            async for part in self._store.stream(blob_key(place, blob.digest)):
                size_bytes += len(part)
                await asyncio.to_thread(hashed.update, part)
        found = hashed.digests()
        if (found.sha256, size_bytes) != (blob.digest, blob.size_bytes):
            return Reading.WRONG
        return Reading.RIGHT if blob.blake3 in ("", found.blake3) else Reading.MISSTATED

    async def faults(self, place: str, blobs: Iterable[Blob]) -> Faults:
        """Read these blobs and find those that are not what is said of them."""
        checked = list(blobs)
        readings = await all_of(self.read(place, blob) for blob in checked)
        found = list(zip(checked, readings, strict=True))
        return Faults(
            wrong={blob.digest for blob, reading in found if reading is Reading.WRONG},
            misstated={blob.digest for blob, reading in found if reading is Reading.MISSTATED},
        )


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
