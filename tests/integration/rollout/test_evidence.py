"""What is counted of what was observed and said, and what is not."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.contracts import subjects
from libs.contracts.feedback import Signal, SignalKind, SignalRecorded, Source
from libs.contracts.rollouts import Guard, RequestObserved, RolloutPlan, RolloutState, Step
from libs.kit.bus import Message
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.rollout.domain.deciding import decide
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts
from services.rollout.migrations import migrate
from services.rollout.repository import evidence, rollouts
from services.rollout.service.observing import Observing

PLAN = RolloutPlan(name="shop", candidate="shop@2", steps=(Step(share=0.1, shadow=True), Step(share=0.5)))
ID = "roll_0123456789abcdef01234567"
NOTHING = Arms(Counts(), Counts())


class Book:
    """Takes in events as the service does, and counts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.observing = Observing(database, keep_days=1)
        self.numbers = iter(range(10**6))

    async def observe(self, count: int = 1, **fields: Any) -> list[str]:
        """So many requests that ended so; their ids."""
        events = [self._event(**fields) for _ in range(count)]
        await self.observing.observed([_message(event) for event in events])
        return [event.request_id for event in events]

    def _event(self, **fields: Any) -> RequestObserved:
        request = fields.pop("request_id", "") or f"r{next(self.numbers)}"
        ended: dict[str, Any] = {
            "step": 1, "arm": "baseline", "outcome": "ok", "stream": True, "first_token_ms": 100, "total_ms": 1_090,
            "completion_tokens": 100,
        }  # fmt: skip
        ended |= fields
        return RequestObserved(
            id=f"{request}-observed", time_ms=1, request_id=request, rollout=ID, model_version="v", **ended
        )

    async def say(self, request: str, up: bool, **fields: Any) -> None:
        """A thumb."""
        number = next(self.numbers)
        said: dict[str, Any] = {"kind": SignalKind.THUMB, "value": up, "time_ms": number, "rater": "ann"}
        said |= fields
        signal = Signal(id=f"s{number}", tenant="t", recorded_ms=1, request_id=request, **said)
        event = SignalRecorded(id=signal.id, time_ms=1, signal=signal)
        # Whatever is said comes twice now and then.
        await self.observing.said([_message(event), _message(event)])

    async def count(self, step: int = 1, plan: RolloutPlan = PLAN) -> Evidence:
        """What is known by now."""
        async with self.database.begin() as connection:
            await evidence.calibrate(connection, ID, plan, step)
            return await evidence.gather(connection, ID, plan, step)


def _message(event: Any) -> Message:
    return Message(subjects.OBSERVED, "", b"", msgspec.json.encode(event))


@pytest_asyncio.fixture(loop_scope="session")
async def book(database: PostgresSettings) -> AsyncIterator[Book]:
    door = Database(database)
    await migrate(door)
    async with door.begin() as connection:
        values = {
            "id": ID, "name": "shop", "state": RolloutState.PREPARING.value, "author": "ann", "turn": "",
            "plan": msgspec.json.encode(PLAN).decode(), "created_ms": 1, "changed_ms": 1, "candidate": "c",
            "baseline": "b", "step_began_ms": 1,
        }  # fmt: skip
        assert await rollouts.add(connection, values)
    yield Book(door)
    await door.close()


async def test_faults_count_as_errors_and_what_clients_did_does_not(book: Book) -> None:
    await book.observe(5)
    await book.observe(3, outcome="error", fault=True, completion_tokens=0)
    await book.observe(7, outcome="error", fault=False)
    await book.observe(9, outcome="cancelled")
    await book.observe(2, arm="candidate")
    counted = await book.count()
    assert counted.guards[Guard.ERROR] == [NOTHING, Arms(Counts(2, 0), Counts(8, 3))]


async def test_where_the_candidate_is_silent_it_is_known_how_many_the_others_are(book: Book) -> None:
    requests = [*await book.observe(30, sticky="ann"), *await book.observe(2, sticky="bob")]
    await book.observe(5, outcome="cancelled")
    for request in requests[-3:]:
        await book.say(request, up=True)
    counted = await book.count()
    assert counted.guards[Guard.ERROR][1] == Arms(Counts(), Counts(32, 0))
    assert (counted.units[Guard.ERROR], counted.units[Guard.DISAPPROVAL]) == (2, 2)
    plan = msgspec.structs.replace(PLAN, steps=(PLAN.steps[0], Step(share=0.5, min_s=0)))
    assert decide(plan, 1, 60.0, counted).action == "wait", "two users may both belong to the last good version"
    await book.observe(evidence.CALIBRATION - 40)
    assert "Nothing is heard of the candidate's error" in decide(plan, 1, 60.0, await book.count()).reason


async def test_an_event_that_comes_twice_counts_once(book: Book) -> None:
    for _ in range(3):
        await book.observe(request_id="same", sticky="one")
        await book.observe(request_id="other", sticky="one")
    counted = await book.count()
    assert counted.guards[Guard.ERROR][1].baseline == Counts(2, 0)
    assert counted.units[Guard.ERROR] == 1


async def test_nothing_is_slow_or_odd_before_it_is_known_what_that_is(book: Book) -> None:
    bad = {"arm": "candidate", "first_token_ms": 900, "total_ms": 9_000, "completion_tokens": 900}
    await book.observe(4, **bad)
    for number in range(evidence.CALIBRATION - 1):
        await book.observe(first_token_ms=100 + number, total_ms=1_090 + number, completion_tokens=50 + number)
    guards = (Guard.SLOW_FIRST_TOKEN, Guard.SLOW_TOKEN, Guard.ODD_LENGTH)
    counted = await book.count()
    assert all(counted.guards[guard] == [NOTHING, NOTHING] for guard in guards)
    await book.observe(first_token_ms=199, total_ms=1_189, completion_tokens=149)
    assert (await book.count()).guards[Guard.SLOW_FIRST_TOKEN][1] == Arms(Counts(4, 4), Counts())
    await book.observe(10, first_token_ms=194, total_ms=1_284, completion_tokens=148)
    await book.observe(10, first_token_ms=195, total_ms=1_285, completion_tokens=149)
    await book.observe(10, arm="candidate", completion_tokens=0)
    after = (await book.count()).guards
    assert after[Guard.SLOW_FIRST_TOKEN][1] == Arms(Counts(14, 4), Counts(20, 10)), "later than 95 of 100"
    assert after[Guard.ODD_LENGTH][1] == Arms(Counts(14, 14), Counts(20, 10)), "nothing at all is odd, too"
    assert after[Guard.SLOW_TOKEN][1].candidate == Counts(4, 0), "10 ms per token, as ever"


async def test_a_mirrored_answer_counts_in_shadow_steps_alone(book: Book) -> None:
    shadow = {"step": 0, "mirror": True, "arm": "candidate"}
    await book.observe(evidence.CALIBRATION + 5, step=0)
    await book.observe(3, **shadow, agreement=0.5)
    await book.observe(2, **{**shadow, "mirror": False})
    await book.observe(4, **{**shadow, "step": 1})
    counted = await book.count(step=0)
    assert counted.guards[Guard.ERROR] == [Arms(Counts(3, 0), Counts(evidence.CALIBRATION + 5, 0))]
    assert counted.guards[Guard.SLOW_FIRST_TOKEN] == [NOTHING], "it waits behind everybody else"
    assert counted.guards[Guard.SLOW_TOKEN] == [Arms(Counts(3, 0), Counts(5, 0))]
    assert (await book.count()).guards[Guard.ERROR][1] == NOTHING
    async with book.database.begin() as connection:
        assert await evidence.agreement(connection, ID) == 0.5


async def test_the_last_explicit_thumb_of_each_rater_counts(book: Book) -> None:
    own, other, shown = await book.observe(arm="candidate"), await book.observe(), await book.observe(step=0)
    mirrored = await book.observe(step=0, mirror=True, arm="candidate")
    await book.say(own[0], up=True, tags=("price", "price"))
    await book.say(own[0], up=False, tags=("refund",))
    await book.say(own[0], up=True, rater="bob", tags=("price",))
    await book.say(own[0], up=True, time_ms=-1, tags=("late",))
    await book.say(own[0], up=True, source=Source.COPIED, rater="cat")
    await book.say(own[0], up=True, kind=SignalKind.SCORE, value=0.1, rater="cat")
    await book.say("unheard-of", up=False)
    await book.say("", up=False, episode_id="e")
    await book.say(mirrored[0], up=False)
    await book.say(shown[0], up=False)
    await book.say(other[0], up=False, tags=("refund",))
    counted = await book.count()
    assert counted.guards[Guard.DISAPPROVAL] == [NOTHING, Arms(Counts(2, 1), Counts(1, 1))]
    assert list(counted.tags) == ["price", "refund", "late"], "in the order of their first appearance"
    assert counted.tags["price"] == [NOTHING, Arms(Counts(1, 0), Counts())]
    assert counted.tags["refund"] == [NOTHING, Arms(Counts(1, 1), Counts(1, 1))]
    assert counted.tags["late"] == [NOTHING, NOTHING]


async def test_nonsense_does_not_keep_the_rest_from_being_counted(book: Book) -> None:
    good = book._event()
    strange = msgspec.structs.replace(good, rollout="roll_nobody", request_id="x")
    odd_step = msgspec.structs.replace(good, step=10**6, request_id="y")
    junk = [Message(subjects.OBSERVED, "", b"", text) for text in (b"", b"{", b"[]", b'{"id": 1}', b"\xff\xfe")]
    for one in junk:
        # Taken apart from the rest, it becomes a dead letter.
        for take in (book.observing.observed, book.observing.said):
            with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
                await take([one])
    await book.observing.observed([_message(strange), _message(odd_step), _message(good)])
    assert (await book.count()).guards[Guard.ERROR][1].baseline == Counts(1, 0)


async def test_evidence_of_what_has_ended_goes_and_that_of_what_runs_stays(book: Book) -> None:
    request = (await book.observe(evidence.CALIBRATION + 1))[0]
    await book.say(request, up=True)
    await book.count()
    assert await book.observing.expire() == 0
    async with book.database.begin() as connection:
        row = await rollouts.find(connection, ID, lock=True)
        assert row is not None
        await rollouts.put(connection, row, RolloutState.ABORTED)
    assert await book.observing.expire() == 0
    book.observing = Observing(book.database, keep_days=-1)
    assert await book.observing.expire() > evidence.CALIBRATION
    assert await book.observing.expire() == 0
    assert (await book.count()).guards[Guard.ERROR] == [NOTHING, NOTHING]
