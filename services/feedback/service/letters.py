"""Messages as they came, and what becomes of one that cannot be taken in."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import RecordSignal, SignalRefused
from libs.kit import clock
from libs.kit.bus.batches import sequence_of
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.signals import target_of
from services.feedback.repository import letters
from services.feedback.repository.bulk import Connection
from services.feedback.tables import OUTBOX


class _Named(msgspec.Struct):
    """Any message, of which no more than its id is read."""

    id: str = ""


_decode_named: Final = msgspec.json.Decoder(_Named).decode


class Letter(NamedTuple):
    """One message of a stream, or one that waited."""

    origin: str
    """The stream; of one that waited, all that tells it from others."""
    subject: str
    payload: bytes
    ack_subject: str = ""
    traceparent: str = ""
    """Of whatever sent it, if that is in a trace."""

    @property
    def id(self) -> str:
        """The stream and the message's number in it; worked out when asked for, which is seldom."""
        return f"{self.origin}-{sequence_of(self.ack_subject)}" if self.ack_subject else self.origin


class Bad(NamedTuple):
    """A message that cannot be taken in, and what is known of it."""

    letter: Letter
    code: str
    reason: str
    command: RecordSignal | None = None
    """Of a signal that could at least be read."""


def read(letter: Letter, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """The message.

    Raises:
        ServiceError: `invalid_json` or `invalid_value`.
    """
    try:
        return decoder.decode(letter.payload)
    except msgspec.ValidationError as error:
        raise ServiceError("invalid_value", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServiceError("invalid_json", str(error)) from error


async def bury(connection: Connection, bad: Iterable[Bad], *, now_ms: int) -> None:
    """Put them to the dead letters, and announce the signals among them, each once."""
    rows = {one.letter.id: (one, _row(one, now_ms)) for one in bad}
    new = await letters.bury(connection, [row for _, row in rows.values()])
    events = {f"{id_}-refused": _refused(rows[id_][0], now_ms) for id_ in sorted(new)}
    said = {id_: event for id_, event in events.items() if event is not None}
    payloads = [msgspec.json.encode(event).decode() for event in said.values()]
    for id_, (one, _) in rows.items():
        if one.letter.traceparent:
            OUTBOX.causes.keep(f"{id_}-refused", one.letter.traceparent)
    await OUTBOX.add_all(connection, subjects.SIGNAL_REFUSED, list(said), payloads, time_ms=now_ms)


def _row(bad: Bad, now_ms: int) -> letters.DeadLetter:
    letter, command = bad.letter, bad.command
    target = _target(command) if command else ""
    who = (_clean(command.tenant), _clean(target), _clean(command.rater)) if command else ("", "", "")
    reason = _clean(bad.reason)
    name = _clean(command.id if command else _name_of(letter.payload))
    return letters.DeadLetter(letter.id, now_ms, *who, bad.code, reason, letter.subject, letter.payload, name)


def _name_of(payload: bytes) -> str:
    """The id that a message bears, as far as it can be read."""
    try:
        return _decode_named(payload).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _target(command: RecordSignal) -> str:
    try:
        return target_of(command)
    except ServiceError:
        return ""


def _refused(bad: Bad, now_ms: int) -> SignalRefused | None:
    command = bad.command
    if command is None:
        return None
    return SignalRefused(
        id=f"{bad.letter.id}-refused",
        time_ms=now_ms,
        signal_id=_clean(command.id),
        tenant=_clean(command.tenant),
        code=bad.code,
        reason=_clean(bad.reason),
    )


def _clean(text: str) -> str:
    """As PostgreSQL and UTF-8 can hold it; what was wrong with it is in the payload."""
    return text[:300].encode(errors="replace").decode().replace("\0", "�")


class Undertaker:
    """Puts away a message that nothing else can be done with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bury(self, letter: Letter, reason: str) -> None:
        """Keep it among the dead letters; raises `ServiceError` with `storage_unavailable`."""
        async with self._database.begin_bulk() as connection:
            await bury(connection, [Bad(letter, "internal_error", reason)], now_ms=clock.unix_ms())
