"""All SQL of the audit. Rows are added and read; nothing here, and nobody with this role, changes or removes one."""

from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.audit import AuditRow, FindEntries, Phase, RecordEntry
from services.audit.chain import ROOT, Link, Written

_APPEND_LOCK: Final = 0x6C6C_6E52
_LOCK: Final = text("select pg_advisory_xact_lock(:key)")
_LAST: Final = text("select number, link from audit.entries order by number desc limit 1")
_KNOWN: Final = text("select id, phase from audit.entries where id = any(:ids)")
_ADD: Final = text(
    "insert into audit.entries (number, recorded_ms, entry, link) values (:number, :recorded_ms, :entry, :link)"
)
_AFTER: Final = text(
    "select number, recorded_ms, entry, link from audit.entries where number > :after order by number limit :limit"
)
_AT: Final = text("select link from audit.entries where number = :number")
_decode = msgspec.json.Decoder(RecordEntry).decode


async def lock(connection: AsyncConnection) -> None:
    """Let nobody else append until this transaction has ended."""
    await connection.execute(_LOCK, {"key": _APPEND_LOCK})


async def last(connection: AsyncConnection) -> Link:
    """The newest row's place."""
    row = (await connection.execute(_LAST)).first()
    return ROOT if row is None else Link(row.number, row.link)


async def known(connection: AsyncConnection, ids: list[str]) -> set[tuple[str, Phase]]:
    """Which of these entries are there, in which phases."""
    return {(row.id, Phase(row.phase)) for row in await connection.execute(_KNOWN, {"ids": ids})}


async def add(connection: AsyncConnection, rows: list[Written]) -> None:
    """Append rows."""
    if rows:
        await connection.execute(_ADD, [row._asdict() for row in rows])


async def after(connection: AsyncConnection, number: int, limit: int) -> list[Written]:
    """The rows behind one, in their order."""
    found = await connection.execute(_AFTER, {"after": number, "limit": limit})
    return [Written(row.number, row.recorded_ms, row.entry, row.link) for row in found]


async def link_at(connection: AsyncConnection, number: int) -> str:
    """The link of one row; empty if there is none."""
    row = (await connection.execute(_AT, {"number": number})).first()
    return "" if row is None else str(row.link)


async def find(connection: AsyncConnection, asked: FindEntries, limit: int) -> list[AuditRow]:
    """Entries, newest first."""
    conditions, values = ["true"], dict[str, Any](limit=limit)
    for column in ("author", "tenant", "operation", "object"):
        wanted = getattr(asked, column)
        if wanted or (column == "tenant" and wanted is not None):
            conditions.append(f"{column} = :{column}")
            values[column] = wanted
    for bound, comparison in (("since_ms", "time_ms >= "), ("until_ms", "time_ms < "), ("before", "number < ")):
        if getattr(asked, bound):
            conditions.append(f"{comparison}:{bound}")
            values[bound] = getattr(asked, bound)
    query = f"""
        select number, recorded_ms, entry, link from audit.entries
        where {" and ".join(conditions)} order by number desc limit :limit
    """  # noqa: S608 - made of our own words; what was asked for travels as parameters
    found = await connection.execute(text(query), values)
    return [
        AuditRow(number=row.number, recorded_ms=row.recorded_ms, link=row.link, entry=_decode(row.entry))
        for row in found
    ]
