"""Rows of deployments."""

from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import DeployedVersion, Deployment
from libs.contracts.versions import short_reference
from services.registry.domain.deploying import Declared
from services.registry.domain.rolling import Roll
from services.registry.tables import deployments


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment with all that its controller has to remember."""

    declared: Declared
    author: str
    declared_ms: int
    document: Deployment
    leaving: dict[str, int] = {}
    engine_revision: int = 1
    roll: Roll | None = None
    error: str = ""


async def pools(connection: AsyncConnection) -> list[str]:
    """Every pool that was declared."""
    return list((await connection.execute(select(deployments.c.pool).order_by(deployments.c.pool))).scalars())


async def get(connection: AsyncConnection, pool: str, *, lock: bool = False) -> Record | None:
    """The deployment of `pool`; with `lock` nobody else changes it until the transaction ends."""
    query = select(deployments).where(deployments.c.pool == pool)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return _record(row) if row else None


async def put(connection: AsyncConnection, record: Record) -> None:
    """Store all of it."""
    declared = record.declared
    values = {
        "pool": declared.pool,
        "base_name": declared.base_name,
        "base_digest": declared.base.digest,
        "adapters": msgspec.to_builtins(declared.adapters),
        "engine_args": list(declared.engine_args),
        "replicas": declared.replicas,
        "author": record.author,
        "declared_ms": record.declared_ms,
        "document": msgspec.to_builtins(record.document),
        "leaving": record.leaving,
        "engine_revision": record.engine_revision,
        "roll": msgspec.to_builtins(record.roll),
        "error": record.error,
    }
    await connection.execute(
        insert(deployments).values(values).on_conflict_do_update(index_elements=[deployments.c.pool], set_=values)
    )


async def using(connection: AsyncConnection, digest: str) -> list[str]:
    """Pools that serve a version, or were told to."""
    rows = await connection.execute(select(deployments).order_by(deployments.c.pool))
    found = []
    for record in map(_record, rows):
        told = (record.document.base, *record.document.adapters, record.declared.base, *record.declared.adapters)
        if digest in {version.digest for version in told}:
            found.append(record.declared.pool)
    return found


def _base(row: Row[Any], document: Deployment) -> DeployedVersion:
    if document.base.digest == row.base_digest:
        return document.base
    return DeployedVersion(short_reference(row.base_name, row.base_digest), row.base_digest)


def _record(row: Row[Any]) -> Record:
    document = msgspec.convert(row.document, Deployment)
    return Record(
        declared=Declared(
            pool=row.pool,
            generation=document.generation,
            base_name=row.base_name,
            base=_base(row, document),
            adapters=msgspec.convert(row.adapters, tuple[DeployedVersion, ...]),
            engine_args=tuple(row.engine_args),
            replicas=row.replicas,
        ),
        author=row.author,
        declared_ms=row.declared_ms,
        document=document,
        leaving=dict(row.leaving),
        engine_revision=row.engine_revision,
        roll=msgspec.convert(row.roll, Roll | None),
        error=row.error,
    )
