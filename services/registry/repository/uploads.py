"""Rows of uploads in progress: one for each manifest and tenant that sends it."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import BeginUpload, Manifest
from services.registry.domain.places import BlobAt, Placed
from services.registry.tables import uploads


async def begin(connection: AsyncConnection, digest: str, wanted: BeginUpload, place: str, expires_ms: int) -> None:
    """Begin the upload of a manifest, or prolong the one under way; who began it remains its author."""
    statement = insert(uploads).values(
        digest=digest,
        manifest=msgspec.to_builtins(wanted.manifest),
        author=wanted.author,
        expires_ms=expires_ms,
        tenant=wanted.tenant,
        owner=wanted.tenant or wanted.owner,
        place=place,
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[uploads.c.tenant, uploads.c.digest], set_={"expires_ms": expires_ms, "place": place}
        )
    )


async def renew(connection: AsyncConnection, tenant: str, digest: str, expires_ms: int) -> None:
    """Prolong a tenant's upload."""
    await connection.execute(update(uploads).where(_is(tenant, digest)).values(expires_ms=expires_ms))


async def find(connection: AsyncConnection, tenant: str, digest: str) -> Row[Any] | None:
    """A tenant's upload, or None; nobody else changes it until the transaction ends."""
    return (await connection.execute(select(uploads).where(_is(tenant, digest)).with_for_update())).first()


async def remove(connection: AsyncConnection, tenant: str, digest: str) -> None:
    """Forget a tenant's upload of a manifest; one that is gone does not matter."""
    await connection.execute(delete(uploads).where(_is(tenant, digest)))


async def remove_expired(connection: AsyncConnection, now_ms: int) -> int:
    """Forget uploads whose time is over; how many."""
    return int((await connection.execute(delete(uploads).where(uploads.c.expires_ms < now_ms))).rowcount)


async def all_blobs(connection: AsyncConnection) -> set[BlobAt]:
    """Every blob that an upload refers to."""
    rows = await connection.execute(select(uploads.c.manifest, uploads.c.place))
    placed = [(msgspec.convert(manifest, Manifest), place) for manifest, place in rows]
    return {BlobAt(place, blob.digest) for manifest, place in placed for file in manifest.files for blob in file.blobs}


def placed_of(row: Row[Any]) -> Placed:
    """The manifest that is being uploaded, and where its blobs go."""
    return Placed(msgspec.convert(row.manifest, Manifest), row.place)


def _is(tenant: str, digest: str) -> ColumnElement[bool]:
    return and_(uploads.c.tenant == tenant, uploads.c.digest == digest)
