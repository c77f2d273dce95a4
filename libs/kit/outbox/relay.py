"""Sends what transactions left in the outbox, and forgets it when the stream holds it."""

from collections.abc import Awaitable, Callable

from libs.kit.bus.stored import Event
from libs.kit.outbox.bundles import BundledOutbox
from libs.kit.outbox.rows import Outbox
from libs.kit.postgres import Database


class Relay:
    """Several processes may have one; the rows' locks keep them apart."""

    def __init__(
        self, database: Database, outbox: Outbox | BundledOutbox, store: Callable[[list[Event]], Awaitable[None]]
    ) -> None:
        """Prepare; `store` returns when the stream holds all of the events, for example `StoredPublisher.store`."""
        self._database = database
        self._outbox = outbox
        self._store = store

    async def send(self) -> int:
        """Send the oldest events; how many. What is cut short is sent again, with the same ids.

        Raises:
            ServiceError: `storage_unavailable`, or what `store` raises.
            BusError: the bus did not confirm all of them.
        """
        async with self._database.begin_bulk() as connection:
            sequences, events = await self._outbox.oldest(connection)
            if events:
                await self._store(events)
                await self._outbox.forget(connection, sequences)
        return len(events)
