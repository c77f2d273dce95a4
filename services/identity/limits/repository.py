"""All SQL of limits: who leads, what is out, which limits hold, which usage was told."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import Limits
from services.identity.limits.ledger import Row
from services.identity.tables import keys, projects, shares, usage_numbers

PROJECT: Final = "project:"
KEY: Final = "key:"
_RENEW: Final = """
update identity.leadership set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where holder = :holder and epoch = :epoch and lease_until > clock_timestamp()
returning epoch
"""
_TAKE: Final = """
update identity.leadership
set epoch = greatest(epoch + 1, extract(epoch from clock_timestamp())::bigint),
    holder = :holder,
    lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where lease_until <= clock_timestamp()
returning epoch
"""
"""Grows by the clock, too: gateways tell one allocator from another by it, even after the database was made anew."""
_RESIGN: Final = """
update identity.leadership set lease_until = clock_timestamp() where holder = :holder and epoch = :epoch
"""
_FENCE: Final = """
select 1 from identity.leadership where epoch = :epoch for share
"""
_decode = msgspec.json.Decoder(Limits).decode


async def renew(connection: AsyncConnection, holder: str, epoch: int, lease_s: float) -> bool:
    """Lead for another lease; False if the lead is lost."""
    values = {"holder": holder, "epoch": epoch, "lease_s": lease_s}
    return (await connection.execute(text(_RENEW), values)).first() is not None


async def take(connection: AsyncConnection, holder: str, lease_s: float) -> int:
    """Lead under a new epoch, if nobody does; 0 if somebody does."""
    row = (await connection.execute(text(_TAKE), {"holder": holder, "lease_s": lease_s})).first()
    return int(row.epoch) if row else 0


async def resign(connection: AsyncConnection, holder: str, epoch: int) -> None:
    """Lead no more."""
    await connection.execute(text(_RESIGN), {"holder": holder, "epoch": epoch})


async def holds(connection: AsyncConnection, epoch: int) -> bool:
    """Whether no later epoch has begun; none begins before this transaction has ended."""
    return (await connection.execute(text(_FENCE), {"epoch": epoch})).first() is not None


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
