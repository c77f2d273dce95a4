"""The outbox of a service that announces thousands of events a second.

A column of a row is one text, a line an event, for neither ids nor JSON hold line breaks. Of each element of an array
the driver would ask what it is.
"""

from typing import Final

import asyncpg  # type: ignore[import-untyped] # it ships no types
import msgspec
from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit.bus.stored import Event
from libs.kit.outbox.causes import Causes
from libs.kit.outbox.rows import FORGET, TABLE, Announcement

_LINE: Final = "\n"
_ADD: Final = "insert into {table} (subject, ids, payloads, time_ms) values ($1, $2, $3, $4)"
_OLDEST: Final = "select * from {table} order by sequence limit 1 for update skip locked"


class BundledOutbox:
    """All events of one transaction and subject are one row, and several processes send rows at the same time."""

    def __init__(self, metadata: MetaData) -> None:
        """Declare the table among those of the service."""
        self.table: Final = Table(
            TABLE,
            metadata,
            Column("sequence", BigInteger, Identity(always=True), primary_key=True),
            Column("subject", Text, nullable=False),
            Column("ids", Text, nullable=False),
            Column("payloads", Text, nullable=False),
            Column("time_ms", BigInteger, nullable=False),
        )
        self.causes: Final = Causes()
        """The traces of events; of those in a bundle whoever adds it tells, for each has a cause of its own."""
        self._add = _ADD.format(table=self.table.fullname)
        self._oldest = _OLDEST.format(table=self.table.fullname)
        self._forget = FORGET.format(table=self.table.fullname)

    async def add(self, connection: AsyncConnection, subject: str, event: Announcement) -> None:
        """Send `event` if, and only if, this transaction is committed."""
        self.causes.note(event.id)
        payload = msgspec.json.encode(event).decode()
        values = {"subject": subject, "ids": event.id, "payloads": payload, "time_ms": event.time_ms}
        await connection.execute(insert(self.table).values(values))

    async def add_all(
        self, connection: asyncpg.Connection, subject: str, ids: list[str], payloads: list[str], *, time_ms: int
    ) -> None:
        """Send these events if, and only if, this transaction is committed; nothing for none."""
        if ids:
            await connection.execute(self._add, *self.row(subject, ids, payloads, time_ms=time_ms))

    def row(self, subject: str, ids: list[str], payloads: list[str], *, time_ms: int) -> tuple[str, str, str, int]:
        """What the table holds of these events, but for the row's number.

        Raises:
            ValueError: there is a line break in an id or a payload.
        """
        lines = _LINE.join(ids), _LINE.join(payloads)
        if any(text.count(_LINE) != len(ids) - 1 for text in lines):
            raise ValueError("An id or a payload holds a line break, or they are not as many.")
        return subject, *lines, time_ms

    async def oldest(self, connection: asyncpg.Connection) -> tuple[list[int], list[Event]]:
        """The oldest row that nobody is sending, locked until the transaction ends, and its events."""
        row = await connection.fetchrow(self._oldest)
        if row is None:
            return [], []
        subject, time_ms = row["subject"], row["time_ms"]
        payloads = row["payloads"].encode().split(_LINE.encode())
        pairs = zip(row["ids"].split(_LINE), payloads, strict=True)
        of = self.causes.of
        events = [Event(id_, subject, time_ms, payload, traceparent=of(id_)) for id_, payload in pairs]
        return [row["sequence"]], events

    async def forget(self, connection: asyncpg.Connection, sequences: list[int]) -> None:
        """Remove rows whose events the bus has stored."""
        await connection.execute(self._forget, sequences)
