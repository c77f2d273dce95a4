"""All SQL of deliveries."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.webhooks import Delivery, DeliveryState, FindDeliveries
from services.events.tables import deliveries

_PENDING: Final = DeliveryState.PENDING.value
# For each webhook the first few that are due: one with a long queue keeps nobody else waiting.
_CLAIM: Final = text(
    """
    update events.deliveries as one
    set next_ms = :lost_ms, attempts = one.attempts + 1, changed_ms = :now_ms
    from events.webhooks as hook, (
        select due.sequence
        from events.webhooks as hook
        cross join lateral (
            select sequence from events.deliveries
            where webhook = hook.id and state = 'pending' and next_ms <= :now_ms
            order by next_ms, sequence
            limit greatest(0, :each - coalesce((cast(:busy as jsonb) ->> hook.id)::int, 0))
        ) as due
        where not hook.is_disabled
        limit :most
    ) as chosen
    where one.sequence = chosen.sequence and one.state = 'pending' and one.next_ms <= :now_ms and hook.id = one.webhook
    returning one.sequence, one.webhook, one.event_id, one.body, one.attempts,
        hook.url, hook.secret, hook.former_secret, hook.rotated_until_ms
    """
)


def delivery_of(row: Row[Any]) -> Delivery:
    """As it is shown."""
    state = DeliveryState(row.state)
    return Delivery(
        id=str(row.sequence),
        webhook=row.webhook,
        event_id=row.event_id,
        type=row.type,
        state=state,
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        attempts=row.attempts,
        next_ms=row.next_ms if state is DeliveryState.PENDING else 0,
        status=row.status,
        error=row.error,
    )


async def add(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add deliveries; one that is there already stays as it is. How many are new."""
    statement = insert_or(deliveries).values(list(rows)).on_conflict_do_nothing().returning(deliveries.c.sequence)
    return len((await connection.execute(statement)).all())


async def claim(
    connection: AsyncConnection, *, now_ms: int, lost_ms: int, each: int, most: int, busy: str
) -> list[Row[Any]]:
    """Take deliveries that are due, so that nobody else does before `lost_ms`; `busy` is those under way, as JSON."""
    values = {"now_ms": now_ms, "lost_ms": lost_ms, "each": each, "most": most, "busy": busy}
    return list(await connection.execute(_CLAIM, values))


async def settle(connection: AsyncConnection, sequence: int, attempts: int, values: Mapping[str, Any]) -> bool:
    """Note how the attempt went; False if it is not the newest any more."""
    statement = update(deliveries).where(
        deliveries.c.sequence == sequence, deliveries.c.attempts == attempts, deliveries.c.state == _PENDING
    )
    return (await connection.execute(statement.values(values))).rowcount > 0


async def give_back(connection: AsyncConnection, sequences: Sequence[int], now_ms: int) -> None:
    """Have what was broken off sent again at once; the attempt that was broken off does not count."""
    statement = update(deliveries).where(deliveries.c.sequence.in_(sequences), deliveries.c.state == _PENDING)
    await connection.execute(statement.values(next_ms=now_ms, attempts=deliveries.c.attempts - 1))


async def page(connection: AsyncConnection, asked: FindDeliveries, before: int | None) -> list[Row[Any]]:
    """Newest first, one more than asked for."""
    query = select(deliveries).where(deliveries.c.webhook == asked.webhook).order_by(deliveries.c.sequence.desc())
    if asked.state is not None:
        query = query.where(deliveries.c.state == asked.state.value)
    if before is not None:
        query = query.where(deliveries.c.sequence < before)
    return list(await connection.execute(query.limit(asked.limit + 1)))


async def replay(connection: AsyncConnection, webhook: str, sequence: int | None, now_ms: int) -> int:
    """Have one sent again, or all that were given up; how many."""
    statement = update(deliveries).where(deliveries.c.webhook == webhook)
    if sequence is None:
        statement = statement.where(deliveries.c.state == DeliveryState.DEAD.value)
    else:
        statement = statement.where(deliveries.c.sequence == sequence)
    again = statement.values(state=_PENDING, attempts=0, next_ms=now_ms, changed_ms=now_ms, status=0, error="")
    return (await connection.execute(again)).rowcount


async def expire(connection: AsyncConnection, before_ms: int) -> int:
    """Forget what is over for long; how many."""
    statement = delete(deliveries).where(deliveries.c.state != _PENDING, deliveries.c.changed_ms < before_ms)
    return (await connection.execute(statement)).rowcount
