"""Garbage collection: deletes blobs that nothing has referred to in two looks, far enough apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from libs.contracts.registry import CollectGarbage, Garbage
from libs.contracts.versions import blob_key, is_digest
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore, StoredObject
from libs.kit.postgres import Database, lock
from services.registry.repository import blobs, garbage, uploads
from services.registry.service import locks

log = structlog.get_logger(__name__)

_PREFIX: Final = "sha256"
_BATCH: Final = 200
"""Blobs deleted under one hold of the lock, so that publishers wait for seconds at most."""


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Mark and sweep, under the lock that whoever comes to rely on a blob shares."""

    database: Database
    store: ObjectStore
    purge_after_s: float

    async def collect(self, request: CollectGarbage) -> Garbage:
        """Look at every blob; delete those that nothing referred to now and in a look at least `min_age_s` ago.

        A dry run says what would be deleted and notes nothing.

        Raises:
            ServiceError: `invalid_value`, a negative age; `storage_unavailable`, a later call goes on.
        """
        if not request.min_age_s >= 0:
            raise ServiceError("invalid_value", "`min_age_s` must not be negative.", param="min_age_s")
        objects = await self._objects()
        now_ms = clock.unix_ms()
        due, candidates, kept = await self._look(objects, now_ms, request)
        deleted = 0
        deleted_bytes = 0
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            gone = batch if request.dry_run else await self._sweep(batch, now_ms)
            gone = [digest for digest in gone if digest in objects]
            deleted += len(gone)
            deleted_bytes += sum(objects[digest].size_bytes for digest in gone)
        if not request.dry_run:
            await self._purge()
            log.info("garbage collected", kept=kept, candidates=candidates, deleted=deleted, bytes=deleted_bytes)
        return Garbage(
            dry_run=request.dry_run, kept=kept, candidates=candidates, deleted=deleted, deleted_bytes=deleted_bytes
        )

    async def _objects(self) -> dict[str, StoredObject]:
        """Every blob in the bucket, by digest; what has another kind of name is not ours to touch."""
        found = {}
        async for item in self.store.walk(_PREFIX):
            digest = item.key.rpartition("/")[2]
            if is_digest(digest) and item.key == blob_key(digest):
                found[digest] = item
        return found

    async def _look(
        self, objects: Mapping[str, StoredObject], now_ms: int, request: CollectGarbage
    ) -> tuple[list[str], int, int]:
        """Blobs that are due, how many are unreferenced but not for long enough, and how many are kept.

        What was announced or written after the look before counts as seen for the first time.
        """
        min_age_ms = int(request.min_age_s * 1_000)
        async with self.database.begin() as connection:
            await lock(connection, locks.BLOBS)
            if not request.dry_run and (expired := await uploads.remove_expired(connection, now_ms)):
                log.info("uploads expired", count=expired)
            marked = await garbage.marked(connection)
            known = await garbage.known(connection)
            unmarked = sorted((objects.keys() | known.keys()) - marked)
            due, again = [], []
            for digest in unmarked:
                announced_ms, since_ms = known.get(digest, (0, None))
                written_ms = objects[digest].modified_ms if digest in objects else 0
                if since_ms is None or announced_ms > since_ms or written_ms // 1_000 > since_ms // 1_000:
                    again.append(digest)
                elif since_ms <= now_ms - min_age_ms:
                    due.append(digest)
            if not request.dry_run:
                for digest in set(unmarked) - known.keys():
                    await garbage.adopt(connection, digest, objects[digest])
                await garbage.set_unmarked(connection, again, now_ms)
                await garbage.set_unmarked(connection, marked & known.keys(), None)
        waiting = (set(unmarked) - set(due)) & objects.keys()
        return due, len(waiting), len(marked & objects.keys())

    async def _sweep(self, digests: list[str], now_ms: int) -> list[str]:
        """Delete those of `digests` that are still unreferenced; nobody can come to rely on one meanwhile."""
        async with self.database.begin() as connection:
            await lock(connection, locks.BLOBS)
            marked = await garbage.marked(connection)
            known = await garbage.known(connection)
            still = [
                digest for digest in digests
                if digest not in marked and (since_ms := known.get(digest, (0, None))[1]) is not None
                and since_ms <= now_ms
            ]  # fmt: skip
            for digest in still:
                await self.store.delete(blob_key(digest))
            await blobs.forget(connection, still)
        return still

    async def _purge(self) -> None:
        """What was deleted long enough ago goes for good; a store without versions has nothing to purge."""
        try:
            removed = await self.store.purge_versions(
                _PREFIX, datetime.now(UTC) - timedelta(seconds=self.purge_after_s)
            )
        except ServiceError as error:
            log.warning("old versions not purged", reason=error.message)
            return
        if removed:
            log.info("old versions purged", count=removed)
