"""Versions in and out: fetched into the cache of this host, published under the fence of a job."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog

from libs.contracts.registry import DeleteVersion, Fetch, FetchVersion, Kind, ListVersions, Version, VersionPage
from libs.contracts.versions import digest_of, full_reference, parse_reference
from libs.kit.errors import ServiceError
from libs.kit.fetch import Pages
from libs.kit.fetch.cache import Cache, Lease
from libs.kit.publish import Description, Options, publish, scan
from libs.kit.registry_client import Registry

log = structlog.get_logger(__name__)

NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_LONGEST_PAUSE_S: Final = 30.0

Intend = Callable[[str], Awaitable[None]]
"""Hears what is about to be published."""


class Shelf:
    """The versions that one job needs, kept in the cache until `release`."""

    def __init__(self, registry: Registry, cache: Cache, *, pause_s: float) -> None:
        self._registry = registry
        self._cache = cache
        self._pause_s = pause_s
        self._stack = AsyncExitStack()

    async def take(self, reference: str) -> Lease:
        """The version with this full reference; waits while the registry or the object storage is away.

        Raises:
            ServiceError: `disk_full`, or what does not mend by waiting.
        """
        pause_s = self._pause_s
        while True:
            try:
                lease = await self._cache.acquire(parse_reference(reference).digest, self._pages(reference))
            except ServiceError as error:
                if is_no_room(error):
                    raise ServiceError("disk_full", error.message) from error
                if not error.spec.retryable:
                    raise
                log.warning("not fetched yet", reference=reference, reason=error.message)
            else:
                self._stack.callback(lease.release)
                return lease
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def release(self) -> None:
        """Nothing of it is needed any more."""
        await self._stack.aclose()

    def _pages(self, reference: str) -> Pages:
        async def ask(skip: int) -> Fetch:
            page: Fetch = await self._registry.call("version_fetch", FetchVersion(reference, skip))
            return page

        return ask


def is_no_room(error: BaseException | None) -> bool:
    """Whether the disk, or what may be used of it, is full."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    # The cache says it in words of its own, and without a cause.
    full = isinstance(error, ServiceError) and "may hold" in error.message and error.code == "storage_unavailable"
    return full or (error is not None and is_no_room(error.__cause__))


async def publish_directory(  # noqa: PLR0913 - each is a fact of its own
    registry: Registry,
    directory: Path,
    description: Description,
    author: str,
    *,
    owner: str,
    pause_s: float,
    intend: Intend | None = None,
) -> str:
    """Publish a directory as `owner`'s (empty: the platform's), however long the registry is away.

    Returns:
        The version's full reference, told to `intend` before.

    Raises:
        ServiceError: what does not mend by waiting.
    """
    found = await asyncio.to_thread(scan, directory, description)
    if intend is not None:
        await intend(full_reference(description.name, digest_of(found.manifest)))
    pause = pause_s
    while True:
        try:
            version: Version = await publish(registry, found, author, options=Options(owner=owner))
        except ServiceError as error:
            if not error.spec.retryable:
                raise
            log.warning("not published yet", name=description.name, reason=error.message)
        else:
            return full_reference(version.name, version.digest)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE_S, pause * 2)


async def delete_all(registry: Registry, name: str, kind: Kind, author: str, *, keep: str = "") -> int:
    """Delete every version of a name and kind but `keep`; how many.

    Raises:
        ServiceError: the registry is away.
    """
    count = 0
    page: VersionPage = await registry.call("version_list", ListVersions(name=name, kind=kind))
    for version in page.versions:
        reference = full_reference(version.name, version.digest)
        if reference == keep:
            continue
        try:
            await registry.call("version_delete", DeleteVersion(reference, author))
        except ServiceError as error:
            if error.code != "version_not_found":
                raise
        count += 1
    return count
