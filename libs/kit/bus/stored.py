"""Publishes many events at once and knows that the stream holds all of them."""

import asyncio
import functools
import itertools
from typing import Final, NamedTuple

from libs.kit import clock
from libs.kit.bus.client import BusClient
from libs.kit.bus.errors import BusTimeoutError, BusUnavailableError
from libs.kit.bus.parser import Message
from libs.kit.telemetry.traceparent import HEADER
from libs.kit.waiting import set_within

_TIMEOUT_S: Final = 5.0
_MAX_SAID: Final = 300


class Event(NamedTuple):
    """One event, ready to be sent."""

    id: str
    subject: str
    time_ms: int
    payload: bytes
    type: str = ""
    """As CloudEvents calls it; empty: the subject."""
    traceparent: str = ""
    """Of the span that caused it, if that is known."""


def is_stored(answer: bytes) -> bool:
    """Whether a stream says so; an error, or "no responders" while JetStream starts, is no acknowledgement."""
    return answer.startswith(b"{") and b'"error"' not in answer


@functools.lru_cache(maxsize=64)
def _rest(type_: str, time_ms: int, constant: str) -> str:
    """Headers that the events of one transaction share."""
    return f"ce-type: {type_}\r\nce-time: {clock.rfc3339(time_ms)}\r\n{constant}"


class _Sending:
    """One call's events: a future for each would cost more than sending it."""

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.refusal = ""
        """What the stream, or the server in its place, said instead of taking one."""
        self.done = asyncio.Event()
        if not missing:
            self.done.set()

    def acknowledged(self) -> None:
        """One more is in its stream."""
        self.missing -= 1
        if not self.missing:
            self.done.set()

    def refused(self, said: bytes) -> None:
        """One will not be; there is nothing to wait for."""
        self.refusal = said.decode(errors="replace")[:_MAX_SAID] or "no stream answers"
        self.done.set()


class StoredPublisher:
    """Sends events as CloudEvents (binary mode); whoever sends one again uses the same id, and the stream keeps one."""

    def __init__(
        self,
        bus: BusClient,
        *,
        source: str,
        inbox: str,
        timeout_s: float = _TIMEOUT_S,
        content_type: str = "application/json",
    ) -> None:
        """Prepare; acknowledgements come to `<inbox>.*`, on which the bus user may listen."""
        self._bus = bus
        self._constant = f"ce-source: {source}\r\nce-specversion: 1.0\r\ncontent-type: {content_type}\r\n\r\n"
        self._inbox = inbox
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Sending] = {}

    def start(self) -> None:
        """Listen for acknowledgements."""
        self._bus.subscribe(f"{self._inbox}.*", self._on_ack)

    async def store(self, events: list[Event]) -> None:
        """Send all of them and wait until all are in their stream.

        Raises:
            BusError: it is not known of each that it is.
        """
        if not self._bus.connected:
            raise BusUnavailableError(self._bus.last_error or "not connected")
        sending = _Sending(len(events))
        # Of this call alone. A subject belongs to one stream, so each event is answered once, and counting is enough.
        reply = f"{self._inbox}.{next(self._numbers)}"
        self._waiting[reply] = sending
        try:
            for event in events:
                self._bus.publish(event.subject, event.payload, reply=reply, headers=self._headers(event))
            await set_within(sending.done, self._timeout_s)
        finally:
            del self._waiting[reply]
        if sending.refusal:
            raise BusUnavailableError(f"an event was not taken: {sending.refusal}")
        if sending.missing:
            raise BusTimeoutError(f"{sending.missing} of {len(events)} events were not acknowledged")

    def _headers(self, event: Event) -> bytes:
        rest = _rest(event.type or event.subject, event.time_ms, self._constant)
        trace = f"{HEADER}: {event.traceparent}\r\n" if event.traceparent else ""
        return f"NATS/1.0\r\nNats-Msg-Id: {event.id}\r\nce-id: {event.id}\r\n{trace}{rest}".encode()

    def _on_ack(self, message: Message) -> None:
        sending = self._waiting.get(message.subject)
        if sending is None:
            return
        if is_stored(message.payload):
            sending.acknowledged()
        else:
            sending.refused(message.payload)
