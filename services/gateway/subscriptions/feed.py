"""Reads the stream of public events for whoever listens: by number, so that nothing is missed or comes twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.public_events import PublicNews
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.bus.reading import Stored, StreamReader
from libs.kit.errors import ServiceError
from libs.kit.event_types import WantedTypes
from libs.kit.waiting import set_within

log = structlog.get_logger(__name__)

_LOOK_S: Final = 5.0
"""How often a listener looks without having been told of news: what tells of them is not stored."""
_BATCH: Final = 256
_decode_news: Final = msgspec.json.Decoder(PublicNews).decode


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What one listener asks for."""

    tenant: str
    """As it stands in subjects; empty: every one, and the platform."""
    types: WantedTypes
    after: int | None
    """The position after which it goes on; 0: with the oldest; None: from now on."""

    @property
    def subject(self) -> str:
        """The pattern of what it may hear."""
        return subjects.all_public(self.tenant) if self.tenant else subjects.ALL_PUBLIC


class Gap(NamedTuple):
    """Positions of which events may be gone."""

    first: int
    last: int


class Listener:
    """One listener and how far it is."""

    def __init__(self, feed: "Feed", wish: Wish) -> None:
        self._feed = feed
        self._wish = wish
        self.position = wish.after or 0
        """Everything up to it has been read."""
        self.wake = asyncio.Event()
        self.wake.set()
        self._read_s = 0.0
        self._more = True

    async def begin(self) -> Gap | None:
        """Find the place to begin at; what may have been missed since the place that was asked for.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        wished = self._wish.after
        try:
            last = await self._feed.reader.last(subjects.ALL_PUBLIC)
            first = await self._feed.reader.first(subjects.ALL_PUBLIC)
        except BusError as error:
            text = f"Events cannot be read at the moment: {error}."
            raise ServiceError("bus_unavailable", text, retry_after_s=1) from error
        if wished is None:
            self.position = last
        elif wished > last > 0:
            # Not a place of this stream: it was made anew, and all of it is news.
            self.position = 0
            return Gap(0, 0)
        elif wished and first - wished > 1:
            self.position = first - 1
            return Gap(wished + 1, first - 1)
        return None

    def heard(self, tenant: str) -> None:
        """There is news of a tenant."""
        if self._wish.tenant in ("", tenant):
            self._more = True
            self.wake.set()

    async def next(self, wait_s: float) -> list[Stored]:
        """The next events, oldest first; none when nothing has come for so long, or the bus is away."""
        if not self._more and clock.monotonic_s() - self._read_s < _LOOK_S:
            await set_within(self.wake, wait_s)
            self.wake.clear()
            if not self._more:
                return []
        self._more = False
        self._read_s = clock.monotonic_s()
        try:
            page = await self._feed.reader.after(self.position, self._wish.subject, limit=_BATCH)
        except BusError as error:
            log.info("events are read again later", reason=str(error))
            await asyncio.sleep(wait_s)
            self._more = True
            return []
        if page:
            self.position = page[-1].sequence
            self._more = True
        return [each for each in page if each.subject.split(".", 2)[2] in self._wish.types]


class Feed:
    """Every listener of one gateway."""

    def __init__(self, bus: BusClient, instance: str, *, most: int) -> None:
        """Prepare; at most `most` listen at the same time."""
        self._bus = bus
        self._most = most
        self._listeners: set[Listener] = set()
        inbox = subjects.gateway_reply(f"{instance}-public", "").rstrip(".")
        self.reader = StreamReader(bus, get=subjects.PUBLIC_GET, inbox=inbox)
        self.closed = False
        """Set when the process is asked to stop: every listener is let go."""

    def __len__(self) -> int:
        return len(self._listeners)

    def start(self) -> None:
        """Hear of news."""
        self.reader.start()
        self._bus.subscribe(subjects.PUBLIC_NEWS, self._on_news)

    def close(self) -> None:
        """Let every listener go; safe in a signal handler."""
        self.closed = True

    @asynccontextmanager
    async def listening(self, wish: Wish) -> AsyncIterator[Listener]:
        """A listener, for as long as the block lasts.

        Raises:
            ServiceError: `queue_full`, too many listen already; `shutting_down`.
        """
        if self.closed:
            raise ServiceError("shutting_down", "This gateway is stopping. Connect again.", retry_after_s=1)
        if len(self._listeners) >= self._most:
            raise ServiceError("queue_full", "Too many listen to events here already; try again.", retry_after_s=5)
        listener = Listener(self, wish)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _on_news(self, message: Message) -> None:
        try:
            news = _decode_news(message.payload)
        except msgspec.DecodeError as error:
            log.error("not news", subject=message.subject, error=str(error))
            return
        for listener in self._listeners:
            for tenant in news.tenants:
                listener.heard(tenant)
