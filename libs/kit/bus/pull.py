"""A JetStream pull consumer that keeps exactly one pull outstanding and backs off when refused."""

import asyncio
import json
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from libs.kit import clock
from libs.kit.bus.client import NO_RESPONDERS, BusClient
from libs.kit.bus.headers import status_of
from libs.kit.bus.parser import Message

log = structlog.get_logger(__name__)

_HEARTBEAT: Final = 100
_EXPIRED: Final = 408
_V1_ACK_TOKENS: Final = 9
_NS_PER_S: Final = 1_000_000_000


class PulledMessage(NamedTuple):
    """One message with the means to settle it."""

    message: Message
    ack_subject: str
    delivery: int
    """1 for the first delivery."""


def delivery_of(ack_subject: str) -> int:
    """How often JetStream has delivered the message, read from its ack subject (both published layouts)."""
    tokens = ack_subject.split(".")
    return int(tokens[4] if len(tokens) == _V1_ACK_TOKENS else tokens[6])


class PullConsumer:
    """Feeds `handler` from one durable consumer for as long as it runs.

    Settle each message by publishing to its ack subject: `+ACK`, `-NAK {"delay": ns}`, `+WPI` (more time), `+TERM`.
    """

    def __init__(  # noqa: PLR0913 - a consumer's identity and its three limits
        self,
        bus: BusClient,
        *,
        stream: str,
        durable: str,
        inbox: str,
        handler: Callable[[PulledMessage], None],
        batch: int = 1_000,
        expires_s: float = 20.0,
        retry_s: float = 0.5,
    ) -> None:
        """Prepare; nothing is pulled before `start`. `inbox` is a subject prefix that the bus user may listen on."""
        self._bus = bus
        self._handler = handler
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = inbox
        self._batch = batch
        self._retry_s = retry_s
        self._idle_s = min(5.0, expires_s / 4)
        self._body = json.dumps(
            {
                "batch": batch,
                "expires": int(expires_s * _NS_PER_S),
                "idle_heartbeat": int(self._idle_s * _NS_PER_S),
            }
        ).encode()
        self._generation = 0
        self._remaining = 0
        self._heard_s = 0.0
        self._sid: int | None = None
        self._again: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Subscribe and pull."""
        self._sid = self._bus.subscribe(f"{self._inbox}.*", self._on_message)
        self._pull()
        self._watch = asyncio.create_task(self._watchdog(), name=f"pull-{self._next_subject}")

    async def stop(self) -> None:
        """Pull nothing more; what was or is being delivered goes to the handler and stays the caller's."""
        if self._again is not None:
            self._again.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._sid is not None:
            sid, self._sid = self._sid, None
            # What the server has sent already would otherwise be nobody's until its lease runs out.
            await self._bus.retire(sid)

    def restart(self) -> None:
        """Pull anew after a reconnect: the server has forgotten the old pull."""
        if self._sid is not None:
            self._pull()

    def _pull(self) -> None:
        self._again = None
        if self._sid is None:
            return
        self._generation += 1
        self._remaining = self._batch
        self._heard_s = clock.monotonic_s()
        if self._bus.connected:
            self._bus.publish(self._next_subject, self._body, reply=f"{self._inbox}.{self._generation}")

    def _on_message(self, message: Message) -> None:
        status = status_of(message.headers)
        if status:
            # Only a status carries the subject of its pull; a message keeps the subject it was stored under.
            if message.subject.endswith(f".{self._generation}"):
                self._on_status(status, message)
            return
        self._heard_s = clock.monotonic_s()
        self._remaining -= 1
        self._handler(PulledMessage(message, message.reply, delivery_of(message.reply)))
        if self._remaining <= 0 and self._again is None:
            self._pull()

    def _on_status(self, status: int, message: Message) -> None:
        self._heard_s = clock.monotonic_s()
        if status == _HEARTBEAT:
            return
        if status == _EXPIRED:
            self._pull()
            return
        # Refused (409), no such consumer or no JetStream (503): asking again at once would storm the server.
        log.warning("pull refused", status=status, why=message.headers[:120], missing=status == NO_RESPONDERS)
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(self._retry_s, self._pull)

    async def _watchdog(self) -> None:
        """Pull anew when the server has been silent for three idle heartbeats: the pull was lost."""
        while True:
            await asyncio.sleep(self._idle_s)
            if self._bus.connected and clock.monotonic_s() - self._heard_s > 3 * self._idle_s and self._again is None:
                self._pull()
