"""Garbage collection: deletes blobs that nothing has referred to in two looks, far enough apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from libs.contracts.registry import CollectGarbage, Garbage
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore, StoredObject
from libs.kit.postgres import Database, lock
from services.registry.domain.places import ROOTS, BlobAt, blob_at, blob_key
from services.registry.repository import blobs, garbage, uploads
from services.registry.service import locks

log = structlog.get_logger(__name__)

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
            gone = [at for at in gone if at in objects]
            deleted += len(gone)
            deleted_bytes += sum(objects[at].size_bytes for at in gone)
        if not request.dry_run:
            await self._purge()
            log.info("garbage collected", kept=kept, candidates=candidates, deleted=deleted, bytes=deleted_bytes)
        return Garbage(
            dry_run=request.dry_run, kept=kept, candidates=candidates, deleted=deleted, deleted_bytes=deleted_bytes
        )

    async def _objects(self) -> dict[BlobAt, StoredObject]:
        """Every blob in the bucket; what has another kind of name is not ours to touch."""
        found = {}
        for root in ROOTS:
            async for item in self.store.walk(root):
                if (at := blob_at(item.key)) is not None:
                    found[at] = item
        return found

    async def _look(
        self, objects: Mapping[BlobAt, StoredObject], now_ms: int, request: CollectGarbage
    ) -> tuple[list[BlobAt], int, int]:
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
            for at in unmarked:
                announced_ms, since_ms = known.get(at, (0, None))
                written_ms = objects[at].modified_ms if at in objects else 0
                if since_ms is None or announced_ms > since_ms or written_ms // 1_000 > since_ms // 1_000:
                    again.append(at)
                elif since_ms <= now_ms - min_age_ms:
                    due.append(at)
            if not request.dry_run:
                for at in set(unmarked) - known.keys():
                    await garbage.adopt(connection, at, objects[at])
                await garbage.set_unmarked(connection, again, now_ms)
                await garbage.set_unmarked(connection, marked & known.keys(), None)
        waiting = (set(unmarked) - set(due)) & objects.keys()
        return due, len(waiting), len(marked & objects.keys())

    async def _sweep(self, due: list[BlobAt], now_ms: int) -> list[BlobAt]:
        """Delete those of `due` that are still unreferenced; nobody can come to rely on one meanwhile."""
        async with self.database.begin() as connection:
            await lock(connection, locks.BLOBS)
            marked = await garbage.marked(connection)
            known = await garbage.known(connection)
            still = [
                at for at in due
                if at not in marked and (since_ms := known.get(at, (0, None))[1]) is not None and since_ms <= now_ms
            ]  # fmt: skip
            for at in still:
                await self.store.delete(blob_key(*at))
            await blobs.forget(connection, still)
        return still

    async def _purge(self) -> None:
        """What was deleted long enough ago goes for good; a store without versions has nothing to purge."""
        older_than = datetime.now(UTC) - timedelta(seconds=self.purge_after_s)
        try:
            removed = sum([await self.store.purge_versions(root, older_than) for root in ROOTS])
        except ServiceError as error:
            log.warning("old versions not purged", reason=error.message)
            return
        if removed:
            log.info("old versions purged", count=removed)
