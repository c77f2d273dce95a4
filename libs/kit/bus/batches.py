"""A JetStream pull consumer for those who take many messages at once and settle them together."""

import asyncio
import json
from collections import deque
from typing import Final

import structlog

from libs.kit import clock
from libs.kit.bus.client import BusClient
from libs.kit.bus.errors import BusError
from libs.kit.bus.headers import status_of
from libs.kit.bus.parser import Message
from libs.kit.waiting import set_within

log = structlog.get_logger(__name__)

_HEARTBEAT: Final = 100
_EXPIRED: Final = 408
_NS_PER_S: Final = 1_000_000_000
_V1_ACK_TOKENS: Final = 9
_ACK: Final = b"+ACK"


def sequence_of(ack_subject: str) -> int:
    """The message's number in its stream, read from its ack subject (both published layouts)."""
    tokens = ack_subject.split(".")
    return int(tokens[5] if len(tokens) == _V1_ACK_TOKENS else tokens[7])


class BatchConsumer:
    """Takes messages only when asked to: whoever stops asking is sent at most two batches more.

    A message that is not acknowledged in time comes again, perhaps to another process.
    """

    def __init__(  # noqa: PLR0913 - a consumer's identity and its limits
        self,
        bus: BusClient,
        *,
        stream: str,
        durable: str,
        inbox: str,
        batch: int = 500,
        max_bytes: int = 16 << 20,
        expires_s: float = 20.0,
        retry_s: float = 0.5,
    ) -> None:
        """Prepare; `inbox` is a subject prefix that the bus user may listen on, `max_bytes` bounds one pull."""
        self.stream = stream
        self._bus = bus
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = inbox
        self._batch = batch
        self._retry_s = retry_s
        idle_s = min(5.0, expires_s / 4)
        self._silence_s = 3 * idle_s
        pull = {
            "batch": batch,
            "max_bytes": max_bytes,
            "expires": int(expires_s * _NS_PER_S),
            "idle_heartbeat": int(idle_s * _NS_PER_S),
        }
        self._pull_body = json.dumps(pull).encode()
        self._held: deque[Message] = deque()
        self._news = asyncio.Event()
        self._generation = 0
        self._remaining = 0
        """Messages that the present pull may still bring; 0: none is open."""
        self._not_before_s = 0.0
        self._heard_s = 0.0
        self._sid: int | None = None

    def start(self) -> None:
        """Listen; nothing is pulled before `take`."""
        self._sid = self._bus.subscribe(f"{self._inbox}.*", self._on_message)

    def stop(self) -> None:
        """Forget what was not taken; it comes again."""
        if self._sid is not None:
            self._bus.unsubscribe(self._sid)
            self._sid = None
        self._held.clear()

    def reconnected(self) -> None:
        """The server has forgotten the pull."""
        self._remaining = 0
        self._news.set()

    async def take(self) -> list[Message]:
        """Wait for messages and take those that are there, oldest first, a batch at most."""
        while not self._held:
            self._news.clear()
            self._pull()
            news = await set_within(self._news, self._retry_s)
            if not news and clock.monotonic_s() - self._heard_s > self._silence_s:
                # Three heartbeats are missing: the pull was lost.
                self._remaining = 0
        taken = [self._held.popleft() for _ in range(min(self._batch, len(self._held)))]
        if len(self._held) < self._batch:
            # The next ones travel while these are worked on.
            self._pull()
        return taken

    def acknowledge(self, messages: list[Message]) -> None:
        """Say that they are dealt with; if that is lost, they come again."""
        try:
            for message in messages:
                self._bus.publish(message.reply, _ACK)
        except BusError as error:
            log.warning("not acknowledged", stream=self.stream, reason=str(error))

    def _pull(self) -> None:
        now_s = clock.monotonic_s()
        if self._remaining > 0 or now_s < self._not_before_s or not self._bus.connected:
            return
        self._generation += 1
        self._remaining = self._batch
        self._heard_s = now_s
        self._bus.publish(self._next_subject, self._pull_body, reply=f"{self._inbox}.{self._generation}")

    def _on_message(self, message: Message) -> None:
        self._heard_s = clock.monotonic_s()
        status = status_of(message.headers)
        if not status:
            # A message keeps the subject it was stored under; one of an older pull is as welcome.
            self._remaining -= 1
            self._held.append(message)
            self._news.set()
        elif status != _HEARTBEAT and message.subject.endswith(f".{self._generation}"):
            self._remaining = 0
            # A pull ends by time or by bytes; anything else is a refusal, and asking at once would storm the server.
            if status != _EXPIRED and b"MaxBytes" not in message.headers and b"Batch Completed" not in message.headers:
                log.warning("pull refused", stream=self.stream, status=status, why=message.headers[:120])
                self._not_before_s = self._heard_s + self._retry_s
            self._news.set()
