"""Sends what transactions left in the outbox, and forgets it when the stream holds it."""

from typing import Final

from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.postgres import Database
from services.rollout.repository import outbox

_AT_ONCE: Final = 100


class Relay:
    """Several processes may have one; the rows' locks keep the order."""

    def __init__(self, database: Database, publisher: StoredPublisher) -> None:
        self._database = database
        self._publisher = publisher

    async def send(self) -> int:
        """Send the oldest events; how many. What is cut short is sent again, with the same ids.

        Raises:
            ServiceError: `storage_unavailable`.
            BusError: the bus did not confirm all of them.
        """
        async with self._database.begin_bulk() as connection:
            rows = await outbox.next_to_send(connection, _AT_ONCE)
            if rows:
                events = [Event(row["id"], row["subject"], row["time_ms"], row["payload"].encode()) for row in rows]
                await self._publisher.store(events)
                await outbox.sent(connection, [row["sequence"] for row in rows])
        return len(rows)
