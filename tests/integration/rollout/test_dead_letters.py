"""What rollout cannot take in lies apart with the reason, and is taken in once when it can be."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.feedback import Signal, SignalKind, SignalRecorded, Source
from libs.contracts.letters import FindLetters, Letter, LetterPage, LetterPlace, LetterText
from libs.contracts.topology import ROLLOUT_SIGNALS
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.errors import ServiceError
from libs.kit.operators_client import BusOperators
from libs.kit.postgres import Database
from libs.testkit.rollout import PATIENCE_S, RolloutGround
from libs.testkit.wait import eventually
from services.rollout.repository import arrivals

POISONED = "poisoned"


class Scene:
    """Says what feedback says, asks what operators ask, and counts what was taken in."""

    def __init__(self, feedback: BusClient, operators: BusOperators, database: Database) -> None:
        self._publisher = StoredPublisher(feedback, source="test", inbox="_INBOX.test.said")
        self._publisher.start()
        self.operators = operators
        self._database = database

    async def say(self, name: str, payload: bytes = b"") -> None:
        """One thumb, or something else, under this id."""
        said = Signal(
            id=name, tenant="t", recorded_ms=1, request_id="r", kind=SignalKind.THUMB, value=True, time_ms=1,
            rater=name, source=Source.EXPLICIT,
        )  # fmt: skip
        event = payload or msgspec.json.encode(SignalRecorded(id=name, time_ms=1, signal=said))
        await self._publisher.store([Event(name, subjects.SIGNAL_RECORDED, 1, event)])

    async def letters(self, count: int) -> list[Letter]:
        """Wait until there are so many dead letters."""

        async def look() -> list[Letter] | None:
            try:
                page: LetterPage = await self.operators.call("letter_list", FindLetters())
            except ServiceError:
                return None
            return list(page.letters) if len(page.letters) == count else None

        return await eventually(look, timeout_s=PATIENCE_S, what=f"{count} dead letters")

    async def taken(self, name: str) -> int:
        """How often a thumb was written down."""
        async with self._database.begin_bulk() as connection:
            found: int = await connection.fetchval("select count(*) from rollout.thumbs where signal_id = $1", name)
        return found

    async def until_taken(self, name: str) -> None:
        async def look() -> bool | None:
            return await self.taken(name) > 0 or None

        await eventually(look, timeout_s=PATIENCE_S, what=f"{name} on record")

    async def ask(self, operation: str, letter: Letter) -> Letter:
        found: Letter = await self.operators.call(operation, _place(letter))
        return found


def _place(letter: Letter) -> LetterPlace:
    return LetterPlace(int(letter.id.rpartition("-")[2]), "ops")


@asynccontextmanager
async def _scene(ground: RolloutGround) -> AsyncIterator[Scene]:
    feedback = BusClient(replace(ground.nats.options("feedback"), inbox_prefix="_INBOX"))
    gateway_inbox = subjects.call_inbox("gateway", "").rstrip(".")
    gateway = BusClient(replace(ground.nats.options("gateway"), inbox_prefix=gateway_inbox))
    database = Database(ground.database)
    await feedback.connect()
    await gateway.connect()
    try:
        yield Scene(feedback, BusOperators(gateway, "rollout"), database)
    finally:
        await feedback.close()
        await gateway.close()
        await database.close()


def _fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the service fail over the poisoned thumb."""
    put = arrivals.put_thumbs

    async def faulty(connection: object, signals: list[Signal], heard_ms: int) -> None:
        if any(one.id.startswith(POISONED) for one in signals):
            raise ValueError("a fault of ours")
        await put(connection, signals, heard_ms)

    monkeypatch.setattr(arrivals, "put_thumbs", faulty)


async def test_a_poisoned_message_lies_apart_and_is_taken_in_once_after_the_fault_is_mended(
    ground: RolloutGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = f"{POISONED}-{clock.new_request_id()}"
    with monkeypatch.context() as broken:
        _fault(broken)
        async with ground.service(), _scene(ground) as scene:
            before, after = f"before-{poison}", f"after-{poison}"
            for name in (before, poison, after):
                await scene.say(name)
            (letter,) = await scene.letters(1)
            await scene.until_taken(after)
            assert (await scene.taken(before), await scene.taken(poison)) == (1, 0)
            assert (letter.message_id, letter.subject, letter.consumer) == (
                poison, subjects.SIGNAL_RECORDED, ROLLOUT_SIGNALS.durable,
            )  # fmt: skip
            assert "a fault of ours" in letter.reason
            assert 0 < letter.stored_ms <= letter.time_ms
            with pytest.raises(ServiceError) as still:
                await scene.ask("letter_replay", letter)
            assert (still.value.code, "a fault of ours" in still.value.message) == ("conflict", True)
            assert await scene.ask("letter_show", letter) == letter
    async with ground.service(), _scene(ground) as scene:
        replays = await asyncio.gather(*(scene.ask("letter_replay", letter) for _ in range(3)), return_exceptions=True)
        assert letter in replays
        assert {one.code for one in replays if isinstance(one, ServiceError)} <= {"not_found"}
        assert await scene.taken(poison) == 1
        await scene.letters(0)
        with pytest.raises(ServiceError) as gone:
            await scene.ask("letter_replay", letter)
        assert gone.value.code == "not_found"


async def test_a_replay_that_is_cut_short_may_be_repeated(
    ground: RolloutGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = f"{POISONED}-{clock.new_request_id()}"
    with monkeypatch.context() as broken:
        _fault(broken)
        async with ground.service(), _scene(ground) as scene:
            await scene.say(poison)
            (letter,) = await scene.letters(1)
    async with ground.service() as service, _scene(ground) as scene:
        with monkeypatch.context() as cut:

            async def dies(_: int) -> None:
                raise ServiceError("bus_unavailable", "It ends here.")

            cut.setattr(service._letters, "_forget", dies)
            with pytest.raises(ServiceError):
                await scene.ask("letter_replay", letter)
        assert await scene.taken(poison) == 1
        await scene.letters(1)
        await scene.ask("letter_replay", letter)
        assert await scene.taken(poison) == 1
        await scene.letters(0)


async def test_letters_outlive_a_process_that_is_killed_and_are_read_paged_and_dropped(ground: RolloutGround) -> None:
    async with _scene(ground) as scene:
        unique = clock.new_request_id()
        process = ground.process()
        await process.start()
        for number in range(3):
            await scene.say(f"n{number}-{unique}", b'{"not": "a signal"}')
        await scene.letters(3)
        await process.end(signal.SIGKILL)
        async with ground.service():
            await scene.say(f"after-{unique}")
            await scene.until_taken(f"after-{unique}")
            letters = await scene.letters(3)
            first: LetterPage = await scene.operators.call("letter_list", FindLetters(limit=2))
            second: LetterPage = await scene.operators.call("letter_list", FindLetters(first.next, 2))
            assert [one.id for one in first.letters + second.letters] == [one.id for one in letters]
            assert second.next == 0
            text: LetterText = await scene.operators.call("letter_read", _place(letters[0]))
            assert (text.letter, text.payload) == (letters[0], '{"not": "a signal"}')
            assert await scene.ask("letter_drop", letters[1]) == letters[1]
            assert [one.message_id for one in await scene.letters(2)] == [f"n0-{unique}", f"n2-{unique}"]
            with pytest.raises(ServiceError) as gone:
                await scene.ask("letter_drop", letters[1])
            assert gone.value.code == "not_found"
