"""Events that are part of a transaction and are still to be sent."""

from typing import Any, Final

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts import subjects
from libs.contracts.training import Job, JobChanged
from libs.kit import clock
from services.trainer.tables import outbox

_NEXT: Final = "select * from trainer.outbox order by sequence limit $1 for update"
_SENT: Final = "delete from trainer.outbox where sequence = any($1::bigint[])"


async def announce(connection: AsyncConnection, job: Job) -> None:
    """Say that `job` came into its state if, and only if, this transaction is committed."""
    event = JobChanged(id=clock.new_event_id(), time_ms=job.changed_ms, job=job)
    await connection.execute(
        insert(outbox).values(
            id=event.id,
            subject=subjects.JOB_CHANGED,
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
