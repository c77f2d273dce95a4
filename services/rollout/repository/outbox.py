"""Events that are part of a transaction and are still to be sent."""

from typing import Any, Final

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts import subjects
from libs.contracts.rollouts import RolloutChanged, TurnChanged
from services.rollout.tables import outbox

_SUBJECTS: Final = {RolloutChanged: subjects.ROLLOUT_CHANGED, TurnChanged: subjects.TURN_CHANGED}
_NEXT: Final = "select * from rollout.outbox order by sequence limit $1 for update"
_SENT: Final = "delete from rollout.outbox where sequence = any($1::bigint[])"


async def add(connection: AsyncConnection, event: RolloutChanged | TurnChanged) -> None:
    """Send `event` if, and only if, this transaction is committed."""
    await connection.execute(
        insert(outbox).values(
            id=event.id,
            subject=_SUBJECTS[type(event)],
            time_ms=event.time_ms,
            payload=msgspec.json.encode(event).decode(),
        )
    )


async def next_to_send(connection: Any, limit: int) -> list[Any]:
    """The oldest events, locked; another relay waits, so that they are sent in order."""
    return list(await connection.fetch(_NEXT, limit))


async def sent(connection: Any, sequences: list[int]) -> None:
    """Forget events that the bus has stored."""
    await connection.execute(_SENT, sequences)
