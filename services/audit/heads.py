"""The newest link, kept on the bus: apart from the rows, so that cutting them off shows."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.audit import HeadMoved
from libs.kit import clock
from libs.kit.bus import BusClient, status_of
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.audit import repository
from services.audit.chain import ROOT, Link

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_NONE: Final = 404
_NAME_DIGITS: Final = 16
_decode = msgspec.json.Decoder(HeadMoved).decode


class Heads:
    """Says the newest link and knows the newest one that was said."""

    def __init__(self, bus: BusClient, database: Database, publisher: StoredPublisher) -> None:
        self._bus = bus
        self._database = database
        self._publisher = publisher
        self._said: Link | None = None

    async def said(self) -> Link:
        """The newest link that was ever said, by whichever process.

        Raises:
            BusError, ServiceError: `bus_unavailable`: the stream does not say.
        """
        answer = await self._bus.request(subjects.AUDIT_HEAD_GET, timeout_s=_TIMEOUT_S)
        status = status_of(answer.headers)
        if status == _NONE:
            return ROOT
        if status:
            raise ServiceError("bus_unavailable", f"The stream of audit heads answers {status}; try again.")
        head = _decode(answer.payload)
        return Link(head.number, head.link)

    async def say(self) -> int:
        """Say the newest link unless it was said; 0, for there is nothing left to do at once.

        A chain that is shorter than what was said is not said: the longer one must stay on record.

        Raises:
            BusError, ServiceError: the bus or the database is away.
        """
        async with self._database.begin() as connection:
            last = await repository.last(connection)
        if last == self._said:
            return 0
        said = await self.said()
        if said.number > last.number:
            log.error("rows of the audit are gone", rows=last.number, said=said.number)
            return 0
        if last.number > said.number:
            await self._publisher.store([_event(last)])
        self._said = last
        return 0


def _event(head: Link) -> Event:
    name = f"head-{head.number}-{head.link[:_NAME_DIGITS]}"
    moved = HeadMoved(id=name, time_ms=clock.unix_ms(), number=head.number, link=head.link)
    return Event(moved.id, subjects.AUDIT_HEAD, moved.time_ms, msgspec.json.encode(moved))
