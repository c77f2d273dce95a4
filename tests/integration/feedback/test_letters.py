"""What feedback could not take in: looked at, taken in once after all, or dropped, by the verbs of all services."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.contracts import subjects
from libs.contracts.feedback import Erase, SignalKind
from libs.contracts.letters import FindLetters, Letter, LetterPage, LetterPlace, LetterText
from libs.contracts.topology import FEEDBACK_CAPTURED, FEEDBACK_SIGNALS
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.operators_client import BusOperators
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.feedback import (
    TENANT,
    FeedbackDesk,
    FeedbackGround,
    Rows,
    captured,
    completed,
    feedback_process,
    new_signal,
)
from libs.testkit.wait import eventually
from services.feedback.migrations import migrate
from services.feedback.repository import interactions

PATIENCE_S = 90.0
POISONED = "poisoned"


class Operators:
    """Asks feedback what operators ask."""

    def __init__(self, desk: FeedbackDesk) -> None:
        self._client = BusOperators(desk.bus, "feedback")

    async def ask(self, operation: str, letter: Letter) -> Any:
        return await self._client.call(operation, LetterPlace(_place(letter), "ops"))

    async def page(self, after: int = 0, limit: int = 100) -> LetterPage:
        found: LetterPage = await self._client.call("letter_list", FindLetters(after, limit))
        return found

    async def letters(self, count: int) -> list[Letter]:
        """Wait until there are so many."""

        async def look() -> list[Letter] | None:
            found = (await self.page()).letters
            return list(found) if len(found) == count else None

        return await eventually(look, timeout_s=PATIENCE_S, what=f"{count} dead letters")

    async def refused(self, operation: str, letter: Letter) -> ServiceError:
        """Why it is not done."""
        with pytest.raises(ServiceError) as caught:
            await self.ask(operation, letter)
        return caught.value


def _place(letter: Letter) -> int:
    return int(letter.id.removeprefix("feedback-"))


@pytest_asyncio.fixture(loop_scope="session")
async def hasty(ground: FeedbackGround) -> AsyncIterator[FeedbackDesk]:
    """Somebody who tells and asks a feedback in which nothing waits long."""
    async with ground.feedback(wait_s=0.3), ground.desk() as desk:
        yield desk


async def test_a_signal_that_waited_in_vain_is_recorded_once_when_its_interaction_has_come(
    hasty: FeedbackDesk, rows: Rows, events: Callable[[], Awaitable[list[Any]]]
) -> None:
    operators, done = Operators(hasty), completed()
    await hasty.say([said := new_signal(done.request_id)])
    (first,) = await operators.letters(1)
    assert (first.message_id, first.subject, first.consumer, first.stream) == (
        said.id, subjects.RECORD_SIGNAL, FEEDBACK_SIGNALS.durable, FEEDBACK_SIGNALS.stream,
    )  # fmt: skip
    assert first.reason.startswith("interaction_not_found: ")

    # Still missing: it waits once more, and is a letter again.
    retaken: Letter = await operators.ask("letter_replay", first)
    assert retaken == msgspec.structs.replace(first, waits=True)
    (again,) = await operators.letters(1)
    assert (_place(again) > _place(first), again.reason, again.digest) == (True, first.reason, first.digest)
    assert (await operators.refused("letter_replay", first)).code == "not_found"

    await hasty.say([done])
    await rows.until("interactions", 1, timeout_s=PATIENCE_S)
    replays = [operators.ask("letter_replay", again) for _ in range(3)]
    repeats = [hasty.call("signal_record", said) for _ in range(3)]
    came = await asyncio.gather(*replays, *repeats, return_exceptions=True)
    assert came[:3].count(again) == 1
    assert {one.code for one in came[:3] if isinstance(one, ServiceError)} == {"not_found"}
    assert (await rows.count("signals"), await rows.count("dead_letters")) == (1, 0)
    assert (await hasty.call("signal_record", said)).recorded_ms > 0
    await rows.until("outbox", 0, timeout_s=PATIENCE_S)
    assert [one.subject for one in await events()].count(subjects.SIGNAL_RECORDED) == 1


async def test_what_still_cannot_be_taken_in_stays_until_it_is_dropped(desk: FeedbackDesk, rows: Rows) -> None:
    operators, done = Operators(desk), completed()
    await desk.say([done])
    await rows.until("interactions", 1, timeout_s=PATIENCE_S)
    said = await desk.call("signal_record", new_signal(done.request_id))
    await desk.say_again([new_signal(done.request_id, id=said.id, value=False)])
    await desk.say_raw(subjects.RECORD_SIGNAL, b'{"id": "sig_x", \xff')
    await desk.say_raw(subjects.CAPTURED, b'{"id": "c1"}')
    letters = await operators.letters(3)
    assert {(one.message_id, one.reason.partition(":")[0]) for one in letters} == {
        (said.id, "idempotency_conflict"), ("", "invalid_json"), ("c1", "invalid_value"),
    }  # fmt: skip
    before = await rows.fetch("select to_jsonb(d) as j from feedback.dead_letters d order by place")
    for letter in letters:
        still = await operators.refused("letter_replay", letter)
        assert (still.code, still.message.startswith("It still cannot be taken in: ")) == ("conflict", True)
        assert await operators.ask("letter_show", letter) == letter
        text: LetterText = await operators.ask("letter_read", letter)
        assert (text.letter, len(text.payload) > 0) == (letter, True)
    assert await rows.fetch("select to_jsonb(d) as j from feedback.dead_letters d order by place") == before
    assert (await rows.count("signals"), await rows.count("inbox")) == (1, 1)

    pages = [await operators.page(limit=2)]
    pages.append(await operators.page(pages[0].next, 2))
    assert ([*pages[0].letters, *pages[1].letters], pages[1].next) == (letters, 0)
    (captured_letter,) = [one for one in letters if one.message_id == "c1"]
    assert captured_letter.consumer == FEEDBACK_CAPTURED.durable
    for letter in letters:
        assert await operators.ask("letter_drop", letter) == letter
        assert {(await operators.refused(verb, letter)).code for verb in ("letter_drop", "letter_show")} == {
            "not_found"
        }
    assert await rows.count("dead_letters") == 0


@pytest.mark.parametrize("place", [0, -1, 1 << 62, (1 << 63) + 1])
async def test_a_place_where_nothing_is_is_not_found(desk: FeedbackDesk, place: int) -> None:
    client = BusOperators(desk.bus, "feedback")
    for verb in ("letter_show", "letter_read", "letter_replay", "letter_drop"):
        with pytest.raises(ServiceError) as caught:
            await client.call(verb, LetterPlace(place))
        assert caught.value.code in {"not_found", "invalid_value"}
    assert (await client.call("letter_list", FindLetters((1 << 63) - 1, 10**6))).letters == ()


async def test_interactions_that_a_fault_kept_out_are_kept_once_when_it_is_mended(
    desk: FeedbackDesk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = Operators(desk)
    bad, good = completed(user=POISONED), completed()
    with monkeypatch.context() as broken:
        for name in ("append", "add"):
            broken.setattr(interactions, name, _faulty(getattr(interactions, name)))
        await desk.say([bad, captured(bad), good])
        letters = await operators.letters(2)
        assert {one.message_id for one in letters} == {bad.id, captured(bad).id}
        assert all("a fault of ours" in one.reason for one in letters)
        assert {(await operators.refused("letter_replay", one)).code for one in letters} == {"conflict"}
    await rows.until("interactions", 1, timeout_s=PATIENCE_S)
    replays = [operators.ask("letter_replay", letter) for letter in letters for _ in range(3)]
    came = await asyncio.gather(*replays, return_exceptions=True)
    assert [came.count(letter) for letter in letters] == [1, 1]
    assert {one.code for one in came if isinstance(one, ServiceError)} == {"not_found"}
    assert (await rows.count("interactions"), await rows.count("contents")) == (2, 1)
    assert await rows.count("dead_letters") == 0


def _faulty(add: Any) -> Any:
    async def fails(connection: Any, batch: Any) -> None:
        if any(one.user == POISONED for one in batch):
            raise ValueError("a fault of ours")
        await add(connection, batch)

    return fails


async def test_a_letter_whose_words_were_erased_can_only_be_dropped(hasty: FeedbackDesk, rows: Rows) -> None:
    operators = Operators(hasty)
    text = new_signal(clock.new_request_id(), kind=SignalKind.COMMENT, value="My own words.", rater="u1")
    await hasty.say([text])
    (letter,) = await operators.letters(1)
    await hasty.call("erase", Erase(tenant=TENANT, user="u1", author="root"))
    assert "erased" in (await operators.refused("letter_replay", letter)).message
    assert (await operators.ask("letter_read", letter)).payload == ""
    await operators.ask("letter_drop", letter)
    assert (await rows.count("pending_signals"), await rows.count("dead_letters")) == (0, 0)


async def test_a_replay_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    ground: FeedbackGround, rows: Rows
) -> None:
    done = completed()
    said = new_signal(done.request_id)
    async with ground.desk() as desk:
        operators = Operators(desk)
        async with feedback_process(ground, wait_s=0.3) as process:
            await desk.say([said])
            (letter,) = await operators.letters(1)
            await desk.say([done])
            await rows.until("interactions", 1, timeout_s=PATIENCE_S)
            async with rows.database.begin_bulk() as holder:
                await holder.execute("lock table feedback.signals in access exclusive mode")
                replay = asyncio.create_task(operators.ask("letter_replay", letter))
                await eventually(lambda: _is_held_up(rows), timeout_s=PATIENCE_S, what="the replay in the middle")
                await process.end(signal.SIGKILL)
            # Nobody answers any more, which takes long to find out.
            replay.cancel()
        assert (await rows.count("signals"), await rows.count("dead_letters")) == (0, 1)
        assert await rows.count("inbox", "code = 'interaction_not_found'") == 1
        async with ground.feedback():
            assert await operators.letters(1) == [letter]
            assert await operators.ask("letter_replay", letter) == letter
        assert (await rows.count("signals"), await rows.count("dead_letters")) == (1, 0)


async def _is_held_up(rows: Rows) -> bool | None:
    """Whether somebody waits for the table that the test has locked."""
    waiting = "select count(*) as n from pg_locks where not granted and relation = 'feedback.signals'::regclass"
    return (await rows.fetch(waiting))[0]["n"] > 0 or None


async def test_letters_of_before_have_places_in_their_order(database: PostgresSettings, ground: FeedbackGround) -> None:
    door = Database(database)
    await migrate(door, "r0009")
    began_ms = clock.unix_ms()
    async with door.begin_bulk() as connection:
        for number in range(3):
            await connection.execute(
                "insert into feedback.dead_letters values ($1, $2, '', '', '', 'invalid_json', 'x', $3, $4)",
                f"CMD_FEEDBACK-{number}", began_ms + number, subjects.RECORD_SIGNAL, b"{",
            )  # fmt: skip
    await door.close()
    async with ground.feedback(), ground.desk() as desk:
        letters = await Operators(desk).letters(3)
        assert [one.time_ms - began_ms for one in letters] == [0, 1, 2]
        assert await Operators(desk).ask("letter_drop", letters[1]) == letters[1]
