"""Recording judgements: one transaction per batch, whether they come by the stream or by a call."""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import RecordSignal, Signal, SignalRecorded
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.signals import WEIGHTS, checked, request_id_of
from services.feedback.domain.judging import Case, Handled, Refusal, Ruling, case_of, judge
from services.feedback.metrics import died, judged
from services.feedback.repository import repeats, signals
from services.feedback.repository.bulk import CollisionError, Connection, collisions
from services.feedback.service.kept import Retaken
from services.feedback.service.letters import Bad, Letter, bury, read
from services.feedback.tables import OUTBOX

_TRIES: Final = 20
_SWEEP: Final = 500
_decoder = msgspec.json.Decoder(RecordSignal)


class Signals:
    """The one way in for judgements."""

    def __init__(self, database: Database, *, wait_s: float, wake: asyncio.Event) -> None:
        """Prepare; `wake` is set whenever there are events to send."""
        self._database = database
        self._wait_ms = int(wait_s * 1_000)
        self._wake = wake

    async def take(self, batch: list[Letter]) -> None:
        """Record what a stream brought; what cannot be recorded becomes a dead letter.

        Raises:
            ServiceError: `storage_unavailable`; then nothing is known to have happened.
            CollisionError: others wrote about the same again and again.
        """
        now_ms = clock.unix_ms()
        bad: list[Bad] = []
        good: list[tuple[Letter, Case]] = []
        for letter in batch:
            command: RecordSignal | None = None
            try:
                command = read(letter, _decoder)
                if letter.traceparent:
                    # Also of one that will wait here for its interaction.
                    OUTBOX.causes.keep(_recorded_id(command.id), letter.traceparent)
                good.append((letter, case_of(checked(command, now_ms=now_ms))))
            except ServiceError as error:
                bad.append(Bad(letter, error.code, error.message, command))
        await self._insist([case for _, case in good], [letter for letter, _ in good], bad)

    async def record(self, command: RecordSignal) -> Signal:
        """Record one judgement; the signal that stands for it, with `recorded_ms` 0 while it waits.

        Raises:
            ServiceError: `invalid_value`, `missing_field`, `request_too_large`, `conflict`, `interaction_not_found`
                or `storage_unavailable`.
        """
        command = checked(command, now_ms=clock.unix_ms())
        OUTBOX.causes.note(_recorded_id(command.id))
        ruling = await self._insist([case_of(command)], [], [])
        answer = ruling.answers[0]
        if isinstance(answer, Refusal):
            raise ServiceError(answer.code, answer.reason)
        if not answer:
            return _waiting(command)
        for recorded in ruling.recorded:
            return recorded.signal
        async with self._database.begin_bulk() as connection:
            found = await signals.show(connection, command.tenant, answer)
        if found is None:
            raise ServiceError("internal_error", f"Signal {answer} is in the inbox and not among the signals.")
        return found

    async def retake(self, connection: Connection, letter: Letter) -> Retaken:
        """Record a signal that was refused, or have it wait, if it is not to be refused again.

        Raises:
            ServiceError: why it is not recorded now, either.
            CollisionError: others wrote about the same; do it again.
        """
        now_ms = clock.unix_ms()
        case = case_of(checked(read(letter, _decoder), now_ms=now_ms))
        known = await signals.known(connection, [case])
        if await repeats.pardon(connection, case):
            known.handled.pop(case.ident, None)
        known.handled = await repeats.recorded(connection, [case]) | known.handled
        ruling = judge([case], known, now_ms=now_ms)
        (answer,) = ruling.answers
        if isinstance(answer, Refusal):
            raise ServiceError(answer.code, answer.reason)
        OUTBOX.causes.note(_recorded_id(case.command.id))
        await self._write(connection, ruling, [], now_ms)

        def done() -> None:
            _count(ruling, [])
            self._wake.set()

        return Retaken(waits=not answer, done=done)

    async def sweep(self) -> int:
        """Record signals whose interaction has come and refuse those that have waited long enough; how many.

        Raises:
            ServiceError: `storage_unavailable`.
            CollisionError: others wrote about the same; do it again.
        """
        now_ms = clock.unix_ms()
        with collisions():
            async with self._database.begin_bulk() as connection:
                due = await signals.due(connection, now_ms=now_ms, limit=_SWEEP)
                if not due:
                    return 0
                await signals.forget(connection, [(one.command.tenant, one.command.id) for one in due])
                cases = [case_of(one.command) for one in due]
                known = await signals.known(connection, cases)
                known.handled = await repeats.recorded(connection, cases) | known.handled
                ruling = judge(cases, known, now_ms=now_ms)
                _expire(cases, ruling)
                bad = _refused(cases, [_as_letter(one.command) for one in due], ruling)
                await self._write(connection, ruling, bad, now_ms)
        _count(ruling, bad)
        self._wake.set()
        return len(due)

    async def _insist(self, cases: list[Case], letters: list[Letter], bad: list[Bad]) -> Ruling:
        for number in range(_TRIES):
            try:
                return await self._decide(cases, letters, bad, is_again=number > 0)
            except CollisionError:
                continue
        raise ServiceError("storage_unavailable", "Others write about the same thing all the time; try again.")

    async def _decide(self, cases: list[Case], letters: list[Letter], bad: list[Bad], *, is_again: bool) -> Ruling:
        now_ms = clock.unix_ms()
        with collisions():
            async with self._database.begin_bulk() as connection:
                known = await signals.known(connection, cases)
                if is_again:
                    # Perhaps nobody was faster, and a signal comes that the inbox has forgotten.
                    known.handled = await repeats.recorded(connection, cases) | known.handled
                ruling = judge(cases, known, now_ms=now_ms)
                refused = _refused(cases, letters, ruling) if letters else []
                await self._write(connection, ruling, [*bad, *refused], now_ms)
        _count(ruling, [*bad, *refused])
        if ruling.recorded or bad or refused:
            self._wake.set()
        return ruling

    async def _write(self, connection: Connection, ruling: Ruling, bad: Iterable[Bad], now_ms: int) -> None:
        await signals.write(connection, ruling, now_ms=now_ms, expires_ms=now_ms + self._wait_ms)
        ids = [_recorded_id(one.signal.id) for one in ruling.recorded]
        payloads = [announcement(one.signal) for one in ruling.recorded]
        await OUTBOX.add_all(connection, subjects.SIGNAL_RECORDED, ids, payloads, time_ms=now_ms)
        await bury(connection, bad, now_ms=now_ms)


def announcement(signal: Signal) -> str:
    """The event that says it, as JSON, without the text of comments and demonstrations."""
    if isinstance(signal.value, str):
        signal = msgspec.structs.replace(signal, value="")
    event = SignalRecorded(id=_recorded_id(signal.id), time_ms=signal.recorded_ms, signal=signal)
    return msgspec.json.encode(event).decode()


def _recorded_id(signal_id: str) -> str:
    """Of the event that says that this signal is recorded."""
    return f"{signal_id}-recorded"


def _count(ruling: Ruling, bad: Iterable[Bad]) -> None:
    judged(one.signal.kind for one in ruling.recorded)
    died(one.code for one in bad)


def _expire(cases: list[Case], ruling: Ruling) -> None:
    """Refuse what has waited long enough and still has nothing to refer to."""
    for index, (case, answer) in enumerate(zip(cases, ruling.answers, strict=True)):
        if answer == "":
            about = "episode" if case.command.episode_id else "inference"
            reason = f"No interaction of this {about} id came in time; it is unknown to this tenant."
            ruling.answers[index] = Refusal("interaction_not_found", reason, is_news=True)
            ruling.handled[case.ident] = Handled(case.digest, "", "interaction_not_found", reason)
    ruling.waiting.clear()


def _refused(cases: list[Case], letters: list[Letter], ruling: Ruling) -> list[Bad]:
    return [
        Bad(letter, answer.code, answer.reason, case.command)
        for case, letter, answer in zip(cases, letters, ruling.answers, strict=True)
        if isinstance(answer, Refusal) and answer.is_news
    ]


def _as_letter(command: RecordSignal) -> Letter:
    return Letter(f"{command.tenant}-{command.id}", subjects.RECORD_SIGNAL, msgspec.json.encode(command))


def _waiting(command: RecordSignal) -> Signal:
    return Signal(
        id=command.id,
        tenant=command.tenant,
        kind=command.kind,
        value=command.value,
        time_ms=command.time_ms,
        recorded_ms=0,
        request_id=request_id_of(command.inference_id) if command.inference_id else "",
        episode_id=command.episode_id,
        rater=command.rater,
        source=command.source,
        weight=WEIGHTS[command.source],
        tags=command.tags,
    )
