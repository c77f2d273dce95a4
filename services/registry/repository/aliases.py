"""Rows of aliases and of every move."""

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Alias
from services.registry.repository import among
from services.registry.tables import alias_moves, aliases, versions


async def get(connection: AsyncConnection, name: str, alias: str) -> Alias | None:
    """Where an alias points; None if it never existed."""
    row = (await connection.execute(select(aliases).where(aliases.c.name == name, aliases.c.alias == alias))).first()
    return _message(row) if row else None


async def put(connection: AsyncConnection, moved: Alias) -> None:
    """Move it, and note the move."""
    values = {field: getattr(moved, field) for field in moved.__struct_fields__}
    statement = insert(aliases).values(values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[aliases.c.name, aliases.c.alias], set_=values)
    )
    await connection.execute(alias_moves.insert().values(values))


async def of_name(connection: AsyncConnection, name: str) -> tuple[Alias, ...]:
    """Aliases of `name` that point somewhere, by alias."""
    rows = await connection.execute(
        select(aliases).where(aliases.c.name == name, aliases.c.digest != "").order_by(aliases.c.alias)
    )
    return tuple(_message(row) for row in rows)


async def history(connection: AsyncConnection, name: str, alias: str, limit: int) -> tuple[Alias, ...]:
    """The newest moves of one alias, newest first."""
    rows = await connection.execute(
        select(alias_moves)
        .where(alias_moves.c.name == name, alias_moves.c.alias == alias)
        .order_by(alias_moves.c.generation.desc())
        .limit(limit)
    )
    return tuple(_message(row) for row in rows)


async def pointing_to(connection: AsyncConnection, digest: str) -> list[str]:
    """`name@alias` of every alias that points to a version."""
    rows = await connection.execute(
        select(aliases.c.name, aliases.c.alias)
        .where(aliases.c.digest == digest)
        .order_by(aliases.c.name, aliases.c.alias)
    )
    return [f"{row.name}@{row.alias}" for row in rows]


async def targets(connection: AsyncConnection, names: set[str]) -> list[Row[Any]]:
    """Aliases of `names` with name, digest, kind and base digest of the version behind each."""
    return list(
        await connection.execute(
            select(
                aliases.c.name,
                aliases.c.alias,
                versions.c.digest,
                versions.c.kind,
                versions.c.base_digest,
                versions.c.tenant,
            )
            .join(versions, (versions.c.name == aliases.c.name) & (versions.c.digest == aliases.c.digest))
            .where(among(aliases.c.name, names))
            .order_by(aliases.c.name, aliases.c.alias)
        )
    )


def _message(row: Row[Any]) -> Alias:
    return Alias(**{field: getattr(row, field) for field in Alias.__struct_fields__})
