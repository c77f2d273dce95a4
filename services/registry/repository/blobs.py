"""Rows of blobs."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Text, and_, bindparam, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Blob
from services.registry.domain.places import BlobAt
from services.registry.repository import among
from services.registry.tables import blobs, version_blobs


async def announce(connection: AsyncConnection, place: str, announced: Sequence[Blob], now_ms: int) -> None:
    """Note that somebody is about to send these; garbage collection starts over for them."""
    if not announced:
        return
    # Sorted, so that two uploads that share blobs do not lock them in opposite orders.
    rows = [
        {"place": place, "digest": blob.digest, "size_bytes": blob.size_bytes, "announced_ms": now_ms}
        for blob in sorted(announced, key=lambda blob: blob.digest)
    ]
    statement = insert(blobs).values(rows)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[blobs.c.place, blobs.c.digest], set_={"announced_ms": now_ms, "unmarked_ms": None}
        )
    )


async def verified(connection: AsyncConnection, place: str, digests: Iterable[str]) -> set[str]:
    """Those of `digests` whose bytes were checked and found right."""
    rows = await connection.execute(
        select(blobs.c.digest).where(
            blobs.c.place == place, among(blobs.c.digest, digests), blobs.c.verified_ms.is_not(None)
        )
    )
    return set(rows.scalars())


async def bad(connection: AsyncConnection, place: str, digests: Iterable[str]) -> set[str]:
    """Those of `digests` that are known to lie in the store with wrong bytes."""
    rows = await connection.execute(
        select(blobs.c.digest).where(blobs.c.place == place, among(blobs.c.digest, digests), blobs.c.is_bad)
    )
    return set(rows.scalars())


async def set_unread(connection: AsyncConnection, place: str, digests: Iterable[str]) -> None:
    """Note of blobs that are missing that their bytes, once they come, have to be checked."""
    lost = select(blobs.c.digest).where(
        blobs.c.place == place, among(blobs.c.digest, digests), blobs.c.verified_ms.is_not(None)
    )
    rows = await connection.execute(lost.order_by(blobs.c.digest).with_for_update())
    found = (blobs.c.place == place, among(blobs.c.digest, rows.scalars()))
    await connection.execute(update(blobs).where(*found).values(verified_ms=None))


async def set_right(connection: AsyncConnection, at: BlobAt, now_ms: int) -> None:
    """Note that a blob was checked and is what its name says."""
    await connection.execute(update(blobs).where(_is(at)).values(verified_ms=now_ms, is_bad=False))


async def set_wrong(connection: AsyncConnection, at: BlobAt) -> None:
    """Note that a blob was read and is not what its name says, or is not there."""
    await connection.execute(update(blobs).where(_is(at)).values(verified_ms=None, is_bad=True))


async def is_used(connection: AsyncConnection, at: BlobAt) -> bool:
    """Whether a version refers to the blob."""
    found = await connection.execute(
        select(version_blobs.c.blob)
        .where(version_blobs.c.place == at.place, version_blobs.c.blob == at.digest)
        .limit(1)
    )
    return found.first() is not None


async def forget(connection: AsyncConnection, gone: Iterable[BlobAt]) -> None:
    """Remove the rows of blobs that are gone."""
    await connection.execute(delete(blobs).where(is_one_of(gone)))


def is_one_of(wanted: Iterable[BlobAt]) -> ColumnElement[bool]:
    """Whether a row of blobs is one of `wanted`; however many they are, they are two parameters."""
    columns = tuple(zip(*wanted, strict=True)) or ((), ())
    pairs = select(*(func.unnest(bindparam(None, list(column), type_=ARRAY(Text))) for column in columns))
    return tuple_(blobs.c.place, blobs.c.digest).in_(pairs)


def _is(at: BlobAt) -> ColumnElement[bool]:
    return and_(blobs.c.place == at.place, blobs.c.digest == at.digest)
