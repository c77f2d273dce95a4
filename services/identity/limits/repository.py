"""All SQL of limits: what is out, which limits hold, which usage was told."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import Limits
from services.identity.limits.ledger import Row
from services.identity.tables import keys, projects, shares, usage_numbers

PROJECT: Final = "project:"
KEY: Final = "key:"
_decode = msgspec.json.Decoder(Limits).decode


async def read_shares(connection: AsyncConnection) -> list[Row]:
    """What may be out, of every holder."""
    return [
        Row(row.holder, row.period, (row.requests, row.tokens, row.slots, row.budget_tokens))
        for row in await connection.execute(select(shares))
    ]


async def write_shares(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Write what may be out from now on."""
    names = ("requests", "tokens", "slots", "budget_tokens")
    values = [
        {"holder": row.holder, "period": row.period, **dict(zip(names, row.out, strict=True))}
        for row in sorted(rows, key=lambda row: row.holder)
    ]
    statement = insert(shares).values(values)
    changed = {name: statement.excluded[name] for name in ("period", *names)}
    await connection.execute(statement.on_conflict_do_update(index_elements=["holder"], set_=changed))


async def delete_shares(connection: AsyncConnection, holders: Iterable[str]) -> None:
    """Nothing is out of these."""
    await connection.execute(delete(shares).where(shares.c.holder.in_(list(holders))))


async def limits_of(connection: AsyncConnection, holders: Iterable[str]) -> dict[str, Limits]:
    """The limits of projects and keys; who is not there has none."""
    names = tuple(holders)
    found: dict[str, Limits] = {}
    for prefix, table, column in ((PROJECT, projects, projects.c.name), (KEY, keys, keys.c.id)):
        wanted = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if wanted:
            rows: Any = await connection.execute(select(column, table.c.limits).where(column.in_(wanted)))
            found |= {f"{prefix}{row[0]}": _decode(row[1]) for row in rows}
    return found


async def note_usage_number(connection: AsyncConnection, gateway: str, number: int, now_ms: int) -> bool:
    """Remember that this much of a gateway's usage was recorded; False if it was already."""
    statement = insert(usage_numbers).values(gateway=gateway, number=number, time_ms=now_ms)
    changed = {"number": statement.excluded.number, "time_ms": statement.excluded.time_ms}
    newer = usage_numbers.c.number < statement.excluded.number
    statement = statement.on_conflict_do_update(index_elements=["gateway"], set_=changed, where=newer)
    return bool((await connection.execute(statement)).rowcount)


async def forget_usage_numbers(connection: AsyncConnection, before_ms: int) -> None:
    """Of gateways that have told nothing for so long."""
    await connection.execute(delete(usage_numbers).where(usage_numbers.c.time_ms < before_ms))
