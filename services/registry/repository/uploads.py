"""Rows of uploads in progress."""

from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import BeginUpload, Manifest
from services.registry.tables import uploads


async def begin(connection: AsyncConnection, digest: str, wanted: BeginUpload, expires_ms: int) -> None:
    """Begin the upload of a manifest, or prolong the one under way; who began it remains its author."""
    statement = insert(uploads).values(
        digest=digest,
        manifest=msgspec.to_builtins(wanted.manifest),
        author=wanted.author,
        expires_ms=expires_ms,
        tenant=wanted.tenant,
        owner=wanted.tenant or wanted.owner,
    )
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[uploads.c.digest], set_={"expires_ms": expires_ms})
    )


async def renew(connection: AsyncConnection, digest: str, expires_ms: int) -> None:
    """Prolong an upload."""
    await connection.execute(update(uploads).where(uploads.c.digest == digest).values(expires_ms=expires_ms))


async def find(connection: AsyncConnection, digest: str) -> Row[Any] | None:
    """The upload, or None; nobody else changes it until the transaction ends."""
    return (await connection.execute(select(uploads).where(uploads.c.digest == digest).with_for_update())).first()


async def remove(connection: AsyncConnection, digest: str) -> None:
    """Forget the upload of a manifest; one that is gone does not matter."""
    await connection.execute(delete(uploads).where(uploads.c.digest == digest))


async def remove_expired(connection: AsyncConnection, now_ms: int) -> int:
    """Forget uploads whose time is over; how many."""
    return int((await connection.execute(delete(uploads).where(uploads.c.expires_ms < now_ms))).rowcount)


async def all_blobs(connection: AsyncConnection) -> set[str]:
    """Digests of every blob that an upload refers to."""
    rows = await connection.execute(select(uploads.c.manifest))
    manifests = [msgspec.convert(manifest, Manifest) for manifest in rows.scalars()]
    return {blob.digest for manifest in manifests for file in manifest.files for blob in file.blobs}


def manifest_of(row: Row[Any]) -> Manifest:
    """The manifest that is being uploaded."""
    return msgspec.convert(row.manifest, Manifest)
