"""Takes entries from the work queue and appends them to the chain, each once."""

import asyncio

import msgspec

from libs.contracts.audit import Phase, RecordEntry
from libs.kit import clock
from libs.kit.bus import BusError, Message
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.audit import repository
from services.audit.chain import Chain, Link
from services.audit.heads import Heads

_decode = msgspec.json.Decoder(RecordEntry).decode


class Recording:
    """Several processes may record; a lock in the database makes them one writer."""

    def __init__(self, database: Database, chain: Chain, heads: Heads, grown: asyncio.Event) -> None:
        self._database = database
        self._chain = chain
        self._heads = heads
        self._grown = grown
        self._floor: Link | None = None
        """The chain is at least so long, whatever the database says: a gap is seen for ever, a chain that goes on
        where rows were cut off would hide it."""

    async def record(self, messages: list[Message]) -> None:
        """Append what is new.

        Raises:
            ServiceError: the database or the bus is away; nothing is appended.
            msgspec.MsgspecError: one of them is no entry; nothing is appended.
        """
        entries = [_decode(message.payload) for message in messages]
        if self._floor is None:
            self._floor = await self._said()
        async with self._database.begin() as connection:
            await repository.lock(connection)
            known = await repository.known(connection, [entry.id for entry in entries])
            head = max(await repository.last(connection), self._floor)
            texts = [msgspec.json.encode(entry).decode() for entry in _fresh(entries, known)]
            rows = self._chain.extend(head, texts, clock.unix_ms())
            await repository.add(connection, rows)
        if rows:
            self._floor = Link(rows[-1].number, rows[-1].link)
            self._grown.set()

    async def _said(self) -> Link:
        try:
            return await self._heads.said()
        except BusError as error:
            raise ServiceError("bus_unavailable", f"The newest link of the audit cannot be read: {error}.") from error


def _fresh(entries: list[RecordEntry], known: set[tuple[str, Phase]]) -> list[RecordEntry]:
    """The first of each id and phase that is not known."""
    first: dict[tuple[str, Phase], RecordEntry] = {}
    for entry in entries:
        first.setdefault((entry.id, entry.phase), entry)
    return [entry for key, entry in first.items() if key not in known]
