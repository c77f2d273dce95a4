"""Rows of versions and the numbers of their names."""

from typing import Any

import msgspec
from sqlalchemy import Row, Select, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Kind, ListVersions, Manifest, Version
from libs.contracts.versions import Reference, full_reference, short_reference
from services.registry.domain.manifests import base_of, blobs_of, size_of
from services.registry.domain.places import Placed
from services.registry.repository import among
from services.registry.tables import aliases, names, version_blobs, versions


async def lock_names(connection: AsyncConnection, locked: set[str]) -> None:
    """Let nobody else publish, delete or point below these names until the transaction ends."""
    for name in sorted(locked):
        await connection.execute(insert(names).values(name=name, last_number=0).on_conflict_do_nothing())
        await connection.execute(select(names.c.name).where(names.c.name == name).with_for_update())


async def claim_name(connection: AsyncConnection, name: str, tenant: str) -> None:
    """Make a name that nobody has `tenant`'s."""
    await connection.execute(insert(names).values(name=name, last_number=0, tenant=tenant).on_conflict_do_nothing())


async def owner_of(connection: AsyncConnection, name: str) -> str | None:
    """Whose a name is, empty for the platform's; None while nobody has published under it."""
    found = await connection.execute(select(names.c.tenant).where(names.c.name == name, names.c.last_number > 0))
    owner: str | None = found.scalar_one_or_none()
    return owner


async def next_number(connection: AsyncConnection, name: str) -> int:
    """The next number of a locked name."""
    row = await connection.execute(
        update(names)
        .where(names.c.name == name)
        .values(last_number=names.c.last_number + 1)
        .returning(names.c.last_number)
    )
    return int(row.scalar_one())


async def add(  # noqa: PLR0913 - the columns of a row
    connection: AsyncConnection,
    *,
    digest: str,
    number: int,
    placed: Placed,
    author: str,
    now_ms: int,
    tenant: str = "",
) -> None:
    """Make a version visible."""
    manifest, place = placed
    base = base_of(manifest)
    await connection.execute(
        versions.insert().values(
            name=manifest.name,
            digest=digest,
            number=number,
            kind=manifest.kind.value,
            base_digest=base.digest if base else "",
            size_bytes=size_of(manifest),
            published_ms=now_ms,
            published_by=author,
            manifest=msgspec.to_builtins(manifest),
            tenant=tenant,
            place=place,
        )
    )
    if rows := [{"digest": digest, "place": place, "blob": blob.digest} for blob in blobs_of(manifest)]:
        await connection.execute(version_blobs.insert(), rows)


async def remove(connection: AsyncConnection, digest: str) -> None:
    """Make a version disappear; its blobs stay."""
    await connection.execute(delete(version_blobs).where(version_blobs.c.digest == digest))
    await connection.execute(delete(versions).where(versions.c.digest == digest))


async def find(connection: AsyncConnection, reference: Reference, tenant: str = "") -> list[Row[Any]]:
    """Versions that `reference` names and `tenant` may see: none, one, or several whose digests begin alike."""
    query = _seen_by(tenant, select(versions).where(versions.c.name == reference.name))
    if reference.digest:
        query = query.where(versions.c.digest.startswith(reference.digest, autoescape=True)).limit(2)
    elif reference.number:
        query = query.where(versions.c.number == reference.number)
    else:
        pointed = select(aliases.c.digest).where(aliases.c.name == reference.name, aliases.c.alias == reference.alias)
        query = query.where(versions.c.digest.in_(pointed))
    return list(await connection.execute(query))


async def by_digest(connection: AsyncConnection, digest: str) -> Row[Any] | None:
    """The version with this whole digest, or None."""
    return (await connection.execute(select(versions).where(versions.c.digest == digest))).first()


async def page(
    connection: AsyncConnection, wanted: ListVersions, *, dataset: str, before: int | None, limit: int
) -> list[Row[Any]]:
    """Newest first, at most `limit`, older than the sequence `before`; `dataset` is what its reference begins with."""
    query = _seen_by(wanted.tenant, select(versions).order_by(versions.c.sequence.desc()).limit(limit))
    if wanted.name:
        query = query.where(versions.c.name == wanted.name)
    if wanted.kind is not None:
        query = query.where(versions.c.kind == wanted.kind.value)
    if dataset:
        made_from = versions.c.manifest["lineage"]["dataset"].astext
        query = query.where(made_from.startswith(dataset, autoescape=True))
    if before is not None:
        query = query.where(versions.c.sequence < before)
    return list(await connection.execute(query))


async def adapters_of(connection: AsyncConnection, base_digest: str) -> list[str]:
    """Short references of adapters whose base is this version."""
    rows = await connection.execute(
        select(versions.c.name, versions.c.digest)
        .where(versions.c.base_digest == base_digest, versions.c.kind == Kind.ADAPTER.value)
        .order_by(versions.c.sequence)
    )
    return [short_reference(row.name, row.digest) for row in rows]


async def to_messages(connection: AsyncConnection, rows: list[Row[Any]]) -> tuple[Version, ...]:
    """Rows as lists show them, with the aliases that point to each."""
    pointing = await connection.execute(
        select(aliases.c.digest, aliases.c.alias)
        .where(among(aliases.c.digest, [row.digest for row in rows]))
        .order_by(aliases.c.alias)
    )
    by_version: dict[str, list[str]] = {}
    for digest, alias in pointing:
        by_version.setdefault(digest, []).append(alias)
    return tuple(
        Version(
            reference=short_reference(row.name, row.digest),
            name=row.name,
            digest=row.digest,
            kind=Kind(row.kind),
            number=row.number,
            size_bytes=row.size_bytes,
            published_ms=row.published_ms,
            published_by=row.published_by,
            base=row.manifest.get("base", ""),
            aliases=tuple(by_version.get(row.digest, ())),
            tenant=row.tenant,
        )
        for row in rows
    )


def _seen_by(tenant: str, query: Select[Any]) -> Select[Any]:
    return query.where(versions.c.tenant.in_(("", tenant))) if tenant else query


def placed_of(row: Row[Any]) -> Placed:
    """The manifest as it was published, and where its blobs lie."""
    return Placed(msgspec.convert(row.manifest, Manifest), row.place)


def reference_of(row: Row[Any]) -> str:
    """`<name>@sha256:<64 hex>`."""
    return full_reference(row.name, row.digest)
