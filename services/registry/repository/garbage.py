"""What refers to blobs, and for how long nothing has."""

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit.objects import StoredObject
from services.registry.domain.places import BlobAt
from services.registry.repository import uploads
from services.registry.repository.blobs import is_one_of
from services.registry.tables import blobs, version_blobs


async def marked(connection: AsyncConnection) -> set[BlobAt]:
    """Every blob that a version or an upload refers to."""
    rows = await connection.execute(select(version_blobs.c.place, version_blobs.c.blob).distinct())
    return {BlobAt(*row) for row in rows} | await uploads.all_blobs(connection)


async def known(connection: AsyncConnection) -> dict[BlobAt, tuple[int, int | None]]:
    """When each known blob was last announced, and since when nothing refers to it (Unix ms)."""
    rows = await connection.execute(select(blobs.c.place, blobs.c.digest, blobs.c.announced_ms, blobs.c.unmarked_ms))
    return {BlobAt(row.place, row.digest): (row.announced_ms, row.unmarked_ms) for row in rows}


async def adopt(connection: AsyncConnection, at: BlobAt, found: StoredObject) -> None:
    """Give an object that nobody announced a row, so that it has a history too."""
    row = {**at._asdict(), "size_bytes": found.size_bytes, "announced_ms": found.modified_ms}
    await connection.execute(insert(blobs).values(row).on_conflict_do_nothing())


async def set_unmarked(connection: AsyncConnection, seen: Iterable[BlobAt], since_ms: int | None) -> None:
    """Note since when nothing refers to these; None for "something does"."""
    await connection.execute(update(blobs).where(is_one_of(seen)).values(unmarked_ms=since_ms))
