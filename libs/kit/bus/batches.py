"""A JetStream pull consumer for those who take many messages at once and settle them together."""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
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
_WORKING: Final = b"+WPI"
_HAND_BACK: Final = b"-NAK"
_SIGNS_PER_LEASE: Final = 3


def sequence_of(ack_subject: str) -> int:
    """The message's number in its stream, read from its ack subject (both published layouts)."""
    tokens = ack_subject.split(".")
    return int(tokens[5] if len(tokens) == _V1_ACK_TOKENS else tokens[7])


def deliveries_of(ack_subject: str) -> int:
    """How often the message was sent to somebody, this time included."""
    tokens = ack_subject.split(".")
    return int(tokens[4] if len(tokens) == _V1_ACK_TOKENS else tokens[6])


def stored_ms_of(ack_subject: str) -> int:
    """When the message was stored, by the server's clock."""
    tokens = ack_subject.split(".")
    return int(tokens[7] if len(tokens) == _V1_ACK_TOKENS else tokens[9]) // 1_000_000


def pending_of(ack_subject: str) -> int:
    """How many messages had not been sent to anybody when this one was."""
    tokens = ack_subject.split(".")
    return int(tokens[8] if len(tokens) == _V1_ACK_TOKENS else tokens[10])


class BatchConsumer:
    """Takes messages only when asked to: whoever stops asking is sent at most two batches more.

    A message that is not acknowledged within its lease comes again, perhaps to another process; for what takes longer
    here the lease is prolonged, so that it may be short and a process that dies is soon succeeded.
    """

    def __init__(  # noqa: PLR0913 - a consumer's identity and its limits
        self,
        bus: BusClient,
        *,
        stream: str,
        durable: str,
        inbox: str,
        lease_s: float,
        batch: int = 500,
        max_bytes: int = 16 << 20,
        expires_s: float = 20.0,
        retry_s: float = 0.5,
    ) -> None:
        """Prepare.

        Args:
            bus: the connection that carries it.
            stream: the stream's name.
            durable: the consumer's.
            inbox: a subject prefix that the bus user may listen on.
            lease_s: how long the consumer waits for an acknowledgement before it sends a message again.
            batch: messages taken at once at most.
            max_bytes: bounds one pull.
            expires_s: how long the server holds a pull.
            retry_s: pause before a refused pull is tried again.
        """
        self.stream = stream
        self.durable = durable
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
        self._in_hand: dict[int, tuple[float, list[Message]]] = {}
        """Batches taken and not acknowledged, by identity, and since when."""
        self._sign_s = lease_s / _SIGNS_PER_LEASE
        self._took_s = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        self._heard_s = 0.0
        self._sid: int | None = None
        self._newest_reply = ""

    def start(self) -> None:
        """Listen; nothing is pulled before `take`."""
        self._sid = self._bus.subscribe(f"{self._inbox}.*", self._on_message)
        self._took_s = clock.monotonic_s()
        self._keeper = asyncio.create_task(self._keep(), name=f"leases-{self.stream}")

    async def stop(self) -> None:
        """Hand back what was not acknowledged; it comes again at once, to whoever asks."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._sid is not None:
            self._bus.unsubscribe(self._sid)
            self._sid = None
        self._settle(self._unsettled(0.0), _HAND_BACK)
        self._held.clear()
        self._in_hand.clear()

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
        self._took_s = clock.monotonic_s()
        self._in_hand[id(taken)] = (self._took_s, taken)
        if len(self._held) < self._batch:
            # The next ones travel while these are worked on.
            self._pull()
        return taken

    def acknowledge(self, messages: list[Message]) -> None:
        """Say that a batch is dealt with; if that is lost, it comes again."""
        self._in_hand.pop(id(messages), None)
        self._settle(messages, _ACK)

    @property
    def oldest_stored_ms(self) -> int:
        """When the oldest message was stored of those that are here and not acknowledged; 0: there are none."""
        return min((stored_ms_of(message.reply) for message in self._unsettled(0.0)), default=0)

    @property
    def pending(self) -> int:
        """How many messages nobody had been sent when the newest came here."""
        return pending_of(self._newest_reply) if self._newest_reply else 0

    def _settle(self, messages: Iterable[Message], how: bytes) -> None:
        try:
            self._bus.publish_to_each((message.reply for message in messages), how)
        except BusError as error:
            log.warning("not settled", stream=self.stream, how=how.decode(), reason=str(error))

    def _unsettled(self, age_s: float) -> list[Message]:
        """Everything that waits here for at least so long."""
        before_s = clock.monotonic_s() - age_s
        waiting = [message for since_s, batch in self._in_hand.values() if since_s <= before_s for message in batch]
        return [*waiting, *self._held] if self._took_s <= before_s else waiting

    async def _keep(self) -> None:
        """Prolong the leases of what takes its time here, for example because the database is away."""
        while True:
            await asyncio.sleep(self._sign_s)
            if self._bus.connected:
                self._settle(self._unsettled(self._sign_s), _WORKING)

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
            self._newest_reply = message.reply
            self._news.set()
        elif status != _HEARTBEAT and message.subject.endswith(f".{self._generation}"):
            self._remaining = 0
            # A pull ends by time or by bytes; anything else is a refusal, and asking at once would storm the server.
            if status != _EXPIRED and b"MaxBytes" not in message.headers and b"Batch Completed" not in message.headers:
                log.warning("pull refused", stream=self.stream, status=status, why=message.headers[:120])
                self._not_before_s = self._heard_s + self._retry_s
            self._news.set()
