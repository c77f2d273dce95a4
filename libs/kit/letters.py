"""The dead letters of one service: what it could not take in is kept with the reason, and taken in later or dropped."""

import base64
import hashlib
import json
from typing import Any, Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.letters import DEAD_HEADER, Death, FindLetters, Letter, LetterPage, LetterPlace, LetterText
from libs.contracts.topology import Consumer
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, BusPayloadError, Message, encode_headers, header_value
from libs.kit.bus.batches import sequence_of, stored_ms_of
from libs.kit.bus.reading import Stored, StreamReader
from libs.kit.errors import ServiceError
from libs.kit.intake import Bury, Record

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_MAX_PAGE: Final = 200
_MAX_REASON: Final = 500
_MAX_TEXT: Final = 200_000
_V1_ACK_TOKENS: Final = 9
_HEADER: Final = DEAD_HEADER.encode()
_ID: Final = b"Nats-Msg-Id"
_decode: Final = msgspec.json.Decoder(Death).decode


class DeadLetters:
    """Kept in a stream of the service's own; every process of the service knows how to take any of them in."""

    def __init__(self, bus: BusClient, service: str, inbox: str) -> None:
        """Prepare; answers come below `inbox`, on which the bus user may listen."""
        self._bus = bus
        self._service = service
        get, self._delete = subjects.letters_of(service)
        self._everything = subjects.dead_letter(service, "*")
        self._reader = StreamReader(bus, get=get, inbox=f"{inbox}.letters", timeout_s=_TIMEOUT_S)
        self._records: dict[str, Record] = {}

    @property
    def is_used(self) -> bool:
        """Whether anything is taken in that could be a dead letter."""
        return bool(self._records)

    def start(self) -> None:
        """Listen for answers."""
        self._reader.start()

    def of(self, consumer: Consumer, record: Record) -> Bury:
        """What puts away a message that came through `consumer` and that `record` cannot take in."""
        self._records[consumer.durable] = record

        async def bury(message: Message, reason: str) -> None:
            await self._bury(consumer, message, reason)

        return bury

    async def page(self, wanted: FindLetters) -> LetterPage:
        """Dead letters, oldest first."""
        limit = min(max(1, wanted.limit), _MAX_PAGE)
        found = await self._after(max(0, wanted.after), limit)
        # A page is also over when it has become large.
        more = bool(found) and bool(await self._after(found[-1].sequence, 1))
        return LetterPage(tuple(self._letter(one, _death(one)) for one in found), found[-1].sequence if more else 0)

    async def show(self, wanted: LetterPlace) -> Letter:
        """One dead letter, without its words."""
        stored, death = await self._find(wanted.place)
        return self._letter(stored, death)

    async def read(self, wanted: LetterPlace) -> LetterText:
        """One dead letter, with its words."""
        stored, death = await self._find(wanted.place)
        return LetterText(self._letter(stored, death), stored.payload[:_MAX_TEXT].decode(errors="replace"))

    async def replay(self, wanted: LetterPlace) -> Letter:
        """Take it in, as if it came once more to the same consumer; forget it only when that is done.

        Whoever takes messages in recognises those that it knows, so a replay that is cut short may be repeated.
        """
        stored, death = await self._find(wanted.place)
        record = self._records.get(death.consumer)
        if record is None:
            raise ServiceError("conflict", f"Nothing comes through `{death.consumer[:80]}` any more; drop the letter.")
        message = Message(death.subject, _once_more(death.reply), base64.b64decode(death.headers), stored.payload)
        try:
            await record([message])
        except ServiceError:
            raise
        except Exception as error:
            log.warning("a dead letter cannot be taken in", place=wanted.place, consumer=death.consumer, exc_info=True)
            why = f"It still cannot be taken in: {type(error).__name__}: {str(error)[:_MAX_REASON]}"
            raise ServiceError("conflict", why) from error
        log.info("dead letter taken in", place=wanted.place, consumer=death.consumer, author=wanted.author)
        await self._forget(wanted.place)
        return self._letter(stored, death)

    async def drop(self, wanted: LetterPlace) -> Letter:
        """Forget it for good."""
        stored, death = await self._find(wanted.place)
        await self._forget(wanted.place)
        log.info("dead letter dropped", place=wanted.place, consumer=death.consumer, author=wanted.author)
        return self._letter(stored, death)

    async def _bury(self, consumer: Consumer, message: Message, reason: str) -> None:
        """Keep a message; raises `ServiceError` while that cannot be done."""
        death = Death(
            consumer=consumer.durable,
            stream=consumer.stream,
            subject=message.subject,
            reason=" ".join(reason.split())[:_MAX_REASON],
            time_ms=clock.unix_ms(),
            reply=message.reply,
            headers=base64.b64encode(message.headers).decode(),
        )
        # A process that is killed before it acknowledges buries it again.
        once = f"{consumer.durable}-{sequence_of(message.reply)}".encode()
        headers = encode_headers([(_ID, once), (_HEADER, _ascii(death))])
        subject = subjects.dead_letter(self._service, consumer.durable)
        try:
            said = await self._ask(subject, message.payload, headers)
        except BusPayloadError as error:
            log.error(
                "a message is too large for a dead letter and is lost", subject=message.subject, reason=str(error)
            )
            return
        if "seq" not in said:
            raise ServiceError("bus_unavailable", f"The dead letter is not kept: {said.get('error')}.")

    async def _find(self, place: int) -> tuple[Stored, Death]:
        found = await self._after(place - 1, 1) if place > 0 else []
        if not found or found[0].sequence != place:
            raise ServiceError("not_found", f"The {self._service} service has no dead letter {place}.")
        return found[0], _death(found[0])

    async def _after(self, place: int, limit: int) -> list[Stored]:
        try:
            return await self._reader.after(place, self._everything, limit=limit)
        except BusError as error:
            raise ServiceError("bus_unavailable", f"Dead letters cannot be read now: {error}.") from error

    async def _forget(self, place: int) -> None:
        await self._ask(self._delete, json.dumps({"seq": place}).encode(), b"")

    async def _ask(self, subject: str, payload: bytes, headers: bytes) -> dict[str, Any]:
        try:
            answer = await self._bus.request(subject, payload, headers=headers, timeout_s=_TIMEOUT_S)
            said: dict[str, Any] = json.loads(answer.payload or b"{}")
        except BusPayloadError:
            raise
        except (BusError, ValueError) as error:
            raise ServiceError("bus_unavailable", f"JetStream does not answer: {error}.") from error
        return said

    def _letter(self, stored: Stored, death: Death) -> Letter:
        own = base64.b64decode(death.headers)
        return Letter(
            id=f"{self._service}-{stored.sequence}",
            service=self._service,
            consumer=death.consumer,
            stream=death.stream,
            subject=death.subject,
            message_id=(header_value(own, _ID) or b"").decode(errors="replace"),
            reason=death.reason,
            time_ms=death.time_ms,
            stored_ms=stored_ms_of(death.reply) if death.reply else 0,
            size_bytes=len(stored.payload),
            digest=hashlib.sha256(stored.payload).hexdigest(),
        )


def _death(stored: Stored) -> Death:
    return _decode(header_value(stored.headers, _HEADER) or b"")


def _ascii(death: Death) -> bytes:
    """As JSON in one line of ASCII, which is what a header may hold."""
    return json.dumps(msgspec.to_builtins(death)).encode()


def _once_more(ack_subject: str) -> str:
    """The same with one delivery more, so that whoever looks for repeats looks for this one."""
    tokens = ack_subject.split(".")
    place = 4 if len(tokens) == _V1_ACK_TOKENS else 6
    tokens[place] = str(int(tokens[place]) + 1)
    return ".".join(tokens)
