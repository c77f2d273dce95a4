"""All SQL about what was used."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import FindUsage, UsageRow, Used
from services.identity.tables import usage

_KEYS: Final = ("day", "tenant", "key")


async def add(connection: AsyncConnection, day: date, used: Iterable[Used]) -> None:
    """Add to what was used on a day (UTC); the same twice counts twice."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each in used:
        requests, tokens = sums.get((each.tenant, each.key), (0, 0))
        sums[each.tenant, each.key] = requests + each.requests, tokens + each.tokens
    # Sorted, so that two transactions never wait for each other's rows.
    rows = [
        {"day": day, "tenant": tenant, "key": key, "requests": requests, "tokens": tokens}
        for (tenant, key), (requests, tokens) in sorted(sums.items())
    ]
    if not rows:
        return
    statement = insert(usage).values(rows)
    added = {name: getattr(usage.c, name) + statement.excluded[name] for name in ("requests", "tokens")}
    await connection.execute(statement.on_conflict_do_update(index_elements=_KEYS, set_=added))


async def page(
    connection: AsyncConnection,
    asked: FindUsage,
    *,
    days: tuple[date, date],
    after: tuple[date, str, str] | None,
    limit: int,
) -> list[UsageRow]:
    """What was used on these days, the first and the last included, by day, tenant and key."""
    place = tuple_(*(usage.c[name] for name in _KEYS))
    query = select(usage).where(usage.c.day.between(*days)).order_by(*(usage.c[name] for name in _KEYS))
    for column, wanted in ((usage.c.tenant, asked.tenant), (usage.c.key, asked.key)):
        if wanted:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(place > after)
    rows: Any = await connection.execute(query.limit(limit))
    return [
        UsageRow(day=row.day.isoformat(), tenant=row.tenant, key=row.key, requests=row.requests, tokens=row.tokens)
        for row in rows
    ]
