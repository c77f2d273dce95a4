"""Publishes events so that none is lost while this process lives: each is kept until JetStream has acknowledged it."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Final

import structlog

from libs.kit import clock
from libs.kit.bus.client import BusClient
from libs.kit.bus.errors import BusError
from libs.kit.bus.parser import Message
from libs.kit.telemetry.traceparent import HEADER

log = structlog.get_logger(__name__)

_SWEEP_S: Final = 0.5
_POLL_S: Final = 0.01


@dataclass(slots=True)
class _Pending:
    """One event that JetStream has not confirmed."""

    subject: str
    headers: bytes
    payload: bytes
    sent_s: float


class EventPublisher:
    """Sends events as CloudEvents (binary mode) and sends them again until they are acknowledged.

    Repeats carry the same `Nats-Msg-Id`, so the stream keeps one of them. What does not fit into the buffer of
    unacknowledged events is dropped and counted.
    """

    def __init__(  # noqa: PLR0913 - the limits that tests and services set
        self,
        bus: BusClient,
        *,
        source: str,
        reply_prefix: str,
        max_pending: int = 20_000,
        max_pending_bytes: int = 64 << 20,
        resend_after_s: float = 5.0,
        linger_s: float = 0.02,
    ) -> None:
        """Prepare.

        Args:
            bus: the connection that carries them.
            source: `ce-source` of every event.
            reply_prefix: where acknowledgements come; the bus user may listen on `<reply_prefix>.*`.
            max_pending: unacknowledged events held; beyond it, new ones are dropped and counted.
            max_pending_bytes: the same for the sum of their payloads.
            resend_after_s: how long to wait for an acknowledgement.
            linger_s: how long an event waits for others: written together, they wake the server once, not each.
        """
        self._bus = bus
        self._constant = (
            f"ce-source: {source}\r\nce-specversion: 1.0\r\ncontent-type: application/json\r\n\r\n".encode()
        )
        self._reply_prefix = reply_prefix
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0
        self._resend_after_s = resend_after_s
        self._linger_s = linger_s
        self._unsent: list[int] = []
        self._pending: dict[int, _Pending] = {}
        """By number, oldest publish first."""
        self._numbers = itertools.count(1)
        self._sweeper: asyncio.Task[None] | None = None
        self.dropped = 0
        """Events given up because the buffer was full."""
        self.resent = 0
        """Publishes beyond the first."""

    @property
    def pending(self) -> int:
        """Events that are not yet acknowledged."""
        return len(self._pending)

    def start(self) -> None:
        """Listen for acknowledgements and resend what misses one."""
        self._bus.subscribe(f"{self._reply_prefix}.*", self._on_ack)
        self._sweeper = asyncio.create_task(self._sweep(), name="event-publisher")

    def publish(self, subject: str, event_id: str, payload: bytes, *, time_ms: int, traceparent: str = "") -> None:
        """Hand over one event, of this trace; returns at once and never raises for the bus's sake."""
        if len(self._pending) >= self._max_pending or self._pending_bytes > self._max_pending_bytes:
            self.dropped += 1
            return
        lines = f"NATS/1.0\r\nNats-Msg-Id: {event_id}\r\nce-id: {event_id}\r\nce-type: {subject}\r\n"
        if traceparent:
            lines = f"{lines}{HEADER}: {traceparent}\r\n"
        headers = f"{lines}ce-time: {clock.rfc3339(time_ms)}\r\n".encode() + self._constant
        number = next(self._numbers)
        self._pending[number] = _Pending(subject, headers, payload, 0.0)
        self._pending_bytes += len(payload)
        if not self._unsent:
            asyncio.get_running_loop().call_later(self._linger_s, self._send_waiting)
        self._unsent.append(number)

    def resend(self) -> None:
        """Send everything unacknowledged again, for example after a reconnect."""
        for number, event in self._pending.items():
            self.resent += event.sent_s > 0
            self._send(number, event)

    async def close(self, timeout_s: float = 2.0) -> None:
        """Wait up to `timeout_s` for the last acknowledgements, then stop."""
        self._send_waiting()
        deadline_s = clock.monotonic_s() + timeout_s
        # Polled: an event object would cost a little with every acknowledgement, and this happens once.
        while self._pending and self._bus.connected and clock.monotonic_s() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        if self._pending:
            self.dropped += len(self._pending)
            log.warning("events not acknowledged at shutdown", count=len(self._pending))
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def _send_waiting(self) -> None:
        numbers, self._unsent = self._unsent, []
        for number in numbers:
            event = self._pending.get(number)
            if event is not None and not event.sent_s:
                self._send(number, event)

    def _send(self, number: int, event: _Pending) -> None:
        # While the bus is away the event waits here, not in the client's buffer: one copy is enough.
        if not self._bus.connected:
            return
        try:
            self._bus.publish(
                event.subject, event.payload, reply=f"{self._reply_prefix}.{number}", headers=event.headers
            )
        except BusError as error:
            log.warning("event not sent yet", error=str(error))
            return
        event.sent_s = clock.monotonic_s()

    def _on_ack(self, message: Message) -> None:
        # An error, or "no responders" while JetStream starts: the sweep tries again.
        if message.payload.startswith(b"{") and b'"error"' not in message.payload:
            event = self._pending.pop(int(message.subject.rpartition(".")[2]), None)
            if event is not None:
                self._pending_bytes -= len(event.payload)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            if not self._bus.connected:
                continue
            overdue_s = clock.monotonic_s() - self._resend_after_s
            for number, event in list(self._pending.items()):
                if event.sent_s > overdue_s:
                    break
                self.resent += event.sent_s > 0
                self._send(number, event)
                if event.sent_s > overdue_s:
                    self._pending[number] = self._pending.pop(number)
