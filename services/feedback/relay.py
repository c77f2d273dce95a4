"""Sends what transactions left in the outbox, and forgets it when the stream holds it."""

from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.postgres import Database
from services.feedback.repository import letters


class Relay:
    """Several processes may send at once: each locks the rows that it sends."""

    def __init__(self, database: Database, publisher: StoredPublisher) -> None:
        self._database = database
        self._publisher = publisher

    async def send(self) -> int:
        """Send the oldest events that nobody is sending; how many. What is cut short is sent again, with the same ids.

        Raises:
            ServiceError: `storage_unavailable`.
            BusError: the bus did not confirm all of them.
        """
        async with self._database.begin_bulk() as connection:
            row = await letters.next_to_say(connection)
            if row is None:
                return 0
            events = [
                Event(id_, row["subject"], row["time_ms"], payload.encode())
                for id_, payload in zip(row["ids"], row["payloads"], strict=True)
            ]
            await self._publisher.store(events)
            await letters.said(connection, row["sequence"])
        return len(events)
