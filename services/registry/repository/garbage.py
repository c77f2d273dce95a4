"""What refers to blobs, and for how long nothing has."""

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit.objects import StoredObject
from services.registry.repository import among, uploads
from services.registry.tables import blobs, version_blobs


async def marked(connection: AsyncConnection) -> set[str]:
    """Digests of every blob that a version or an upload refers to."""
    rows = await connection.execute(select(version_blobs.c.blob).distinct())
    return set(rows.scalars()) | await uploads.all_blobs(connection)


async def known(connection: AsyncConnection) -> dict[str, tuple[int, int | None]]:
    """When each known blob was last announced, and since when nothing refers to it (Unix ms)."""
    rows = await connection.execute(select(blobs.c.digest, blobs.c.announced_ms, blobs.c.unmarked_ms))
    return {row.digest: (row.announced_ms, row.unmarked_ms) for row in rows}


async def adopt(connection: AsyncConnection, digest: str, found: StoredObject) -> None:
    """Give an object that nobody announced a row, so that it has a history too."""
    statement = insert(blobs).values(digest=digest, size_bytes=found.size_bytes, announced_ms=found.modified_ms)
    await connection.execute(statement.on_conflict_do_nothing())


async def set_unmarked(connection: AsyncConnection, digests: Iterable[str], since_ms: int | None) -> None:
    """Note since when nothing refers to these; None for "something does"."""
    await connection.execute(update(blobs).where(among(blobs.c.digest, digests)).values(unmarked_ms=since_ms))
