"""Rows of blobs."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Blob
from services.registry.repository import among
from services.registry.tables import blobs, version_blobs


async def announce(connection: AsyncConnection, announced: Sequence[Blob], now_ms: int) -> None:
    """Note that somebody is about to send these; garbage collection starts over for them."""
    if not announced:
        return
    # Sorted, so that two uploads that share blobs do not lock them in opposite orders.
    rows = [
        {"digest": blob.digest, "size_bytes": blob.size_bytes, "announced_ms": now_ms}
        for blob in sorted(announced, key=lambda blob: blob.digest)
    ]
    statement = insert(blobs).values(rows)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[blobs.c.digest], set_={"announced_ms": now_ms, "unmarked_ms": None}
        )
    )


async def verified(connection: AsyncConnection, digests: Iterable[str]) -> set[str]:
    """Those of `digests` whose bytes were checked and found right."""
    rows = await connection.execute(
        select(blobs.c.digest).where(among(blobs.c.digest, digests), blobs.c.verified_ms.is_not(None))
    )
    return set(rows.scalars())


async def bad(connection: AsyncConnection, digests: Iterable[str]) -> set[str]:
    """Those of `digests` that are known to lie in the store with wrong bytes."""
    rows = await connection.execute(select(blobs.c.digest).where(among(blobs.c.digest, digests), blobs.c.is_bad))
    return set(rows.scalars())


async def set_unread(connection: AsyncConnection, digests: Iterable[str]) -> None:
    """Note of blobs that are missing that their bytes, once they come, have to be checked."""
    lost = select(blobs.c.digest).where(among(blobs.c.digest, digests), blobs.c.verified_ms.is_not(None))
    rows = await connection.execute(lost.order_by(blobs.c.digest).with_for_update())
    await connection.execute(update(blobs).where(among(blobs.c.digest, rows.scalars())).values(verified_ms=None))


async def set_right(connection: AsyncConnection, digest: str, now_ms: int) -> None:
    """Note that a blob was checked and is what its name says."""
    await connection.execute(update(blobs).where(blobs.c.digest == digest).values(verified_ms=now_ms, is_bad=False))


async def set_wrong(connection: AsyncConnection, digest: str) -> None:
    """Note that a blob was read and is not what its name says, or is not there."""
    await connection.execute(update(blobs).where(blobs.c.digest == digest).values(verified_ms=None, is_bad=True))


async def is_used(connection: AsyncConnection, digest: str) -> bool:
    """Whether a version refers to the blob."""
    found = await connection.execute(select(version_blobs.c.blob).where(version_blobs.c.blob == digest).limit(1))
    return found.first() is not None


async def forget(connection: AsyncConnection, digests: Iterable[str]) -> None:
    """Remove the rows of blobs that are gone."""
    await connection.execute(delete(blobs).where(among(blobs.c.digest, digests)))


async def count(connection: AsyncConnection) -> int:
    """How many blobs are known."""
    return int((await connection.execute(select(func.count()).select_from(blobs))).scalar_one())
