"""The outbox of an ordinary service: a row an event, sent in order."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import asyncpg  # type: ignore[import-untyped] # it ships no types
import msgspec
from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit.bus.stored import Event
from libs.kit.outbox.causes import Causes

TABLE: Final = "outbox"
FORGET: Final = "delete from {table} where sequence = any($1::bigint[])"
_OLDEST: Final = "select * from {table} order by sequence limit 100 for update"
_DDL: Final = """
create table {table} (
    sequence bigint generated always as identity primary key,
    id text not null,
    subject text not null,
    time_ms bigint not null,
    payload text not null
)
"""


class Announcement(Protocol):
    """What every event has, whatever it tells."""

    @property
    def id(self) -> str:
        """Of the event: whoever hears it twice knows it by this."""

    @property
    def time_ms(self) -> int:
        """When it happened."""


def outbox_ddl(schema: str) -> str:
    """The statement for a migration that makes the table of an `Outbox`."""
    return _DDL.format(table=f"{schema}.{TABLE}")


class Outbox:
    """Events are sent in the order of their rows, whichever process sends them.

    Two events of one thing are written under the lock of that thing, so that their rows are in the order of their
    commits; between things no order is promised.
    """

    def __init__(self, metadata: MetaData, subjects: Mapping[type, str]) -> None:
        """Declare the table among those of the service; `subjects` says where each type of event is announced."""
        self.table: Final = Table(
            TABLE,
            metadata,
            Column("sequence", BigInteger, Identity(always=True), primary_key=True),
            Column("id", Text, nullable=False),
            Column("subject", Text, nullable=False),
            Column("time_ms", BigInteger, nullable=False),
            Column("payload", Text, nullable=False),
        )
        self._subjects = subjects
        self._causes = Causes()
        self._oldest = _OLDEST.format(table=self.table.fullname)
        self._forget = FORGET.format(table=self.table.fullname)

    async def add(self, connection: AsyncConnection, event: Announcement) -> None:
        """Send `event` if, and only if, this transaction is committed."""
        self._causes.note(event.id)
        await connection.execute(
            insert(self.table).values(
                id=event.id,
                subject=self._subjects[type(event)],
                time_ms=event.time_ms,
                payload=msgspec.json.encode(event).decode(),
            )
        )

    async def oldest(self, connection: asyncpg.Connection) -> tuple[list[int], list[Event]]:
        """The rows to be sent next and their events; another process waits for them, so that the order is kept."""
        rows: list[Any] = await connection.fetch(self._oldest)
        events = [
            Event(
                row["id"],
                row["subject"],
                row["time_ms"],
                row["payload"].encode(),
                traceparent=self._causes.of(row["id"]),
            )
            for row in rows
        ]
        return [row["sequence"] for row in rows], events

    async def forget(self, connection: asyncpg.Connection, sequences: list[int]) -> None:
        """Remove rows whose events the bus has stored."""
        await connection.execute(self._forget, sequences)
