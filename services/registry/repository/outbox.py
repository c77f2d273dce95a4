"""Events that are part of a transaction and are still to be sent."""

from typing import Any

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts import subjects
from libs.contracts.registry import AliasMoved, DeploymentChanged, VersionPublished
from services.registry.tables import outbox

Event = VersionPublished | AliasMoved | DeploymentChanged

_SUBJECTS = {
    VersionPublished: subjects.VERSION_PUBLISHED,
    AliasMoved: subjects.ALIAS_MOVED,
    DeploymentChanged: subjects.DEPLOYMENT_CHANGED,
}


async def add(connection: AsyncConnection, event: Event) -> None:
    """Send `event` if, and only if, this transaction is committed."""
    await connection.execute(
        outbox.insert().values(
            id=event.id,
            subject=_SUBJECTS[type(event)],
            time_ms=event.time_ms,
            payload=msgspec.json.encode(event).decode(),
        )
    )


async def waiting(connection: AsyncConnection, limit: int) -> list[Row[Any]]:
    """The oldest events that are not sent.

    In the order of their numbers. Two events of one thing are written under the lock of that thing, so that their
    numbers are in the order of their commits; between things no order is promised.
    """
    return list(await connection.execute(select(outbox).order_by(outbox.c.sequence).limit(limit)))


async def done(connection: AsyncConnection, sequence: int) -> None:
    """Forget an event that the bus has stored."""
    await connection.execute(delete(outbox).where(outbox.c.sequence == sequence))
