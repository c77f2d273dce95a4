"""A turn whose process is killed at any point, on a real PostgreSQL: each effect happens once, and it ends right."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.contracts.rollouts import (
    TURN_ENDED,
    ApplyLoop,
    Budget,
    FindTurns,
    Loop,
    LoopName,
    RolloutPlan,
    RolloutState,
    Trigger,
    Turn,
    TurnChanged,
    TurnRef,
    TurnState,
)
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.leader import Leader
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.rollout.loops.driving import Driver
from services.rollout.loops.service import Loops
from services.rollout.migrations import migrate
from tests.integration.rollout.loop_doubles import Doubles, KilledError
from tests.unit.rollout.looping import a_loop

FAULTS = ("away", "lost", "before", "after")
MOST_ROUNDS = 200
ORDER = [TurnState.SELECTING, TurnState.TRAINING, TurnState.ROLLING_OUT, TurnState.PROMOTED]
LOOP = a_loop(trigger=Trigger(signals=5, min_interval_s=0))


def _none(_: RolloutPlan) -> None:
    """Every plan is good."""


class Ground:
    """One database; drivers come and go."""

    def __init__(self, database: Database, leader: Leader) -> None:
        self.database = database
        self.leader = leader

    def driver(self, doubles: Doubles) -> Driver:
        """A process that has just begun, and knows nothing."""
        return Driver(self.database, self.leader, doubles.others(), told=asyncio.Event(), count_s=0.0)

    def calls(self, doubles: Doubles) -> Loops:
        """Whom people talk to."""
        return Loops(self.database, self.driver(doubles), doubles, check_rollout=_none, wake=asyncio.Event())

    async def empty(self) -> None:
        """Begin anew."""
        async with self.database.begin() as connection:
            await connection.execute(text("truncate rollout.turns, rollout.loops, rollout.outbox"))

    async def announced(self) -> list[Turn]:
        """What was said of turns, in order."""
        async with self.database.begin() as connection:
            rows = await connection.execute(text("select payload from rollout.outbox order by sequence"))
            return [msgspec.json.decode(row.payload, type=TurnChanged).turn for row in rows]

    async def turns(self, doubles: Doubles) -> tuple[Turn, ...]:
        """Newest first."""
        return (await self.calls(doubles).turns(FindTurns())).turns


@pytest_asyncio.fixture(loop_scope="session")
async def ground(database: PostgresSettings) -> AsyncIterator[Ground]:
    door = Database(database)
    await migrate(door)
    leader = Leader(door, "o1", schema="rollout", lease_s=60.0)
    await leader.check()
    yield Ground(door, leader)
    await door.close()


async def _declare(ground: Ground, doubles: Doubles, loop: Loop = LOOP) -> None:
    faults, doubles.faults = doubles.faults, iter(())
    await ground.calls(doubles).apply(ApplyLoop(loop=loop, author="ann"))
    doubles.faults = faults


async def _drive(ground: Ground, doubles: Doubles, *, until: TurnState | None = None, drivers: int = 1) -> Turn:
    """Rounds, by processes that are killed and replaced, until the first turn has ended or is in a state."""
    crowd = [ground.driver(doubles) for _ in range(drivers)]
    for _ in range(MOST_ROUNDS):
        for number, how in enumerate(await asyncio.gather(*(one.round() for one in crowd), return_exceptions=True)):
            if isinstance(how, BaseException):
                assert isinstance(how, KilledError), how
                crowd[number] = ground.driver(doubles)
        faults, doubles.faults = doubles.faults, iter(())
        turns = await ground.turns(doubles)
        doubles.faults = faults
        if turns and (turns[-1].state in TURN_ENDED or turns[-1].state is until):
            return turns[-1]
    raise AssertionError("it never ends")


def _right(doubles: Doubles, said: list[Turn], turn: Turn) -> None:
    assert turn.state is TurnState.PROMOTED, turn.reason
    assert [one.state for one in said if one.id == turn.id] == ORDER, "each state is announced once, in order"
    mine = {turn.dataset_job, turn.job, turn.rollout}
    assert mine <= set(doubles.made)
    assert set(doubles.made.values()) == {1}
    assert turn.signals == 5


async def test_wherever_a_process_is_killed_every_effect_happens_once(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    await _declare(ground, doubles)
    before = doubles.calls
    turn = await _drive(ground, doubles)
    _right(doubles, await ground.announced(), turn)
    assert doubles.kinds() == {"DatasetJob": 1, "Job": 1, "Rollout": 1}
    count = doubles.calls - before
    assert count > 10
    for number, fault in itertools.product(range(count), FAULTS):
        await ground.empty()
        doubles = Doubles(itertools.chain([""] * number, [fault]))
        await _declare(ground, doubles)
        turn = await _drive(ground, doubles)
        _right(doubles, await ground.announced(), turn)
        assert doubles.kinds() == {"DatasetJob": 1, "Job": 1, "Rollout": 1}, (number, fault)


def _chances(seed: int) -> Iterator[str]:
    chance = clock.seeded_random(seed)
    for _ in range(60):
        yield chance.choice(FAULTS) if chance.random() < 0.5 else ""


@pytest.mark.parametrize("seed", range(6))
async def test_two_processes_that_both_drive_and_fail_by_chance_do_nothing_twice(ground: Ground, seed: int) -> None:
    await ground.empty()
    doubles = Doubles(_chances(seed))
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles, drivers=2)
    _right(doubles, await ground.announced(), turn)


@pytest.mark.parametrize(
    ("change", "state", "orders"),
    [
        ({"passes": False}, TurnState.HELD_BACK, {"DatasetJob": 1, "Job": 1}),
        ({"outcome": RolloutState.ABORTED}, TurnState.TAKEN_BACK, {"DatasetJob": 1, "Job": 1, "Rollout": 1}),
        ({"outcome": RolloutState.ROLLED_BACK}, TurnState.TAKEN_BACK, {"DatasetJob": 1, "Job": 1, "Rollout": 1}),
        ({"busy_looks": 3}, TurnState.PROMOTED, {"DatasetJob": 1, "Job": 1, "Rollout": 1}),
    ],
)
async def test_a_turn_ends_as_its_gate_and_its_rollout_do(
    ground: Ground, change: dict[str, Any], state: TurnState, orders: dict[str, int]
) -> None:
    doubles = Doubles(iter(()))
    for name, value in change.items():
        setattr(doubles, name, value)
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles)
    assert turn.state is state
    assert doubles.kinds() == orders


@pytest.mark.parametrize("state", ORDER[:3])
@pytest.mark.parametrize("how", ["cancel", "remove", "budget"])
async def test_what_is_called_off_takes_along_what_it_ordered(ground: Ground, state: TurnState, how: str) -> None:
    doubles = Doubles(iter(()))
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles, until=state)
    # The first look of each state orders, so that there is something to call off.
    await ground.driver(doubles).round()
    calls = ground.calls(doubles)
    if how == "cancel":
        await calls.cancel_turn(TurnRef(turn.id, "bob"))
    elif how == "remove":
        await calls.remove(LoopName(LOOP.name, "bob"))
    else:
        await _age(ground, (await ground.turns(doubles))[0])
    # The process that is told dies on the way.
    doubles.faults = iter(["after", "away"])
    ended = await _drive(ground, doubles)
    assert ended.state is TurnState.CANCELLED
    assert ("bob" in ended.reason) is (how != "budget")
    last = doubles.things[(ended.dataset_job, ended.job, ended.rollout)[ORDER.index(state)]]
    assert last.state in ("cancelled", "aborted")


async def _age(ground: Ground, turn: Turn) -> None:
    """Let the turn have begun longer ago than it may take."""
    old = msgspec.structs.replace(turn, began_ms=turn.began_ms - round(LOOP.budget.turn_s * 1_000) - 1)
    async with ground.database.begin() as connection:
        values = {"id": turn.id, "turn": msgspec.json.encode(old).decode()}
        await connection.execute(text("update rollout.turns set turn = :turn where id = :id"), values)


async def test_a_rollout_that_is_past_its_tests_ends_before_its_turn_is_called_off(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    doubles.outcome = RolloutState.WATCHING
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles, until=TurnState.ROLLING_OUT)
    driver = ground.driver(doubles)
    for _ in range(5):
        await driver.round()
    await ground.calls(doubles).cancel_turn(TurnRef(turn.id, "bob"))
    await driver.round()
    waiting = (await ground.turns(doubles))[0]
    assert waiting.state is TurnState.ROLLING_OUT
    assert "watching" in waiting.reason
    rollout = doubles.things[waiting.rollout]
    doubles.things[waiting.rollout] = msgspec.structs.replace(rollout, state=RolloutState.PROMOTED)
    assert (await _drive(ground, doubles)).state is TurnState.PROMOTED


async def test_a_paused_loop_does_nothing_and_goes_on_where_it_was(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    await _declare(ground, doubles, msgspec.structs.replace(LOOP, paused=True))
    calls, driver = ground.calls(doubles), ground.driver(doubles)
    before = doubles.calls
    for _ in range(3):
        assert await driver.round() == 0
    assert doubles.calls == before
    with pytest.raises(ServiceError) as caught:
        await calls.turn(LoopName(LOOP.name, "ann"))
    assert caught.value.code == "conflict"
    await calls.resume(LoopName(LOOP.name))
    turn = await _drive(ground, doubles, until=TurnState.TRAINING)
    assert (await calls.pause(LoopName(LOOP.name, "ann"))).waits_for == "it is paused"
    before = doubles.calls
    for _ in range(5):
        assert await driver.round() == 0
    assert doubles.calls == before
    assert await ground.turns(doubles) == (turn,)
    await calls.resume(LoopName(LOOP.name))
    assert (await _drive(ground, doubles)).state is TurnState.PROMOTED


async def test_a_turn_begins_by_hand_but_never_beside_another_nor_beyond_the_budget(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    doubles.signals = 0
    loop = msgspec.structs.replace(LOOP, budget=Budget(turns_per_day=2))
    await _declare(ground, doubles, loop)
    calls = ground.calls(doubles)
    assert await ground.driver(doubles).round() == 0
    assert (await calls.show(LoopName(LOOP.name))).waits_for == "0 of 5 judgements"
    for number in (1, 2):
        answers = await asyncio.gather(*(calls.turn(LoopName(LOOP.name, "ann")) for _ in range(3)),
                                       return_exceptions=True)  # fmt: skip
        (begun,) = [one for one in answers if isinstance(one, Turn)]
        assert (begun.number, begun.author) == (number, "ann")
        refusals = [one for one in answers if isinstance(one, ServiceError)]
        assert [one.code for one in refusals] == ["conflict", "conflict"]
        for _ in range(MOST_ROUNDS):
            await ground.driver(doubles).round()
            if (await ground.turns(doubles))[0].state in TURN_ENDED:
                break
    with pytest.raises(ServiceError, match="2 turns began in 24 hours"):
        await calls.turn(LoopName(LOOP.name, "ann"))
    assert [turn.number for turn in await ground.turns(doubles)] == [2, 1]


async def test_turns_are_found_by_what_they_made_and_refusals_name_the_field(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles)
    calls = ground.calls(doubles)
    for digits in (64, 12):
        found = await calls.turns(FindTurns(version=f"helpdesk@sha256:{'c' * digits}"))
        assert [one.id for one in found.turns][-1:] == [turn.id]
    assert (await calls.turns(FindTurns(version=f"helpdesk@sha256:{'d' * 64}"))).turns == ()
    assert (await calls.turns(FindTurns(dataset="lessons@sha256:0123456789ab"))).turns[-1].id == turn.id
    for request, param in (
        (FindTurns(version="helpdesk@champion"), "version"),
        (FindTurns(dataset="@"), "dataset"),
        (FindTurns(limit=0), "limit"),
        (FindTurns(before="x"), "before"),
    ):
        with pytest.raises(ServiceError) as caught:
            await calls.turns(request)
        assert (caught.value.code, caught.value.param) == ("invalid_value", param)
    for call, asked in ((calls.show_turn, TurnRef("turn_0")), (calls.cancel_turn, TurnRef("a\0"))):
        with pytest.raises(ServiceError) as caught:
            await call(asked)
        assert caught.value.code == "not_found"
    with pytest.raises(ServiceError, match="already"):
        await calls.cancel_turn(TurnRef(turn.id))


async def test_the_database_takes_no_step_that_the_state_machine_has_not(ground: Ground) -> None:
    doubles = Doubles(iter(()))
    await _declare(ground, doubles)
    turn = await _drive(ground, doubles)
    again = "select 'turn_x', loop, number, state, began_ms, turn from rollout.turns where id = :id"
    for statement in (
        "update rollout.turns set state = 'training' where id = :id",
        f"insert into rollout.turns (id, loop, number, state, began_ms, turn) {again}",
    ):
        with contextlib.suppress(IntegrityError):
            async with ground.database.begin() as connection:
                await connection.execute(text(statement), {"id": turn.id})
            raise AssertionError(statement)
