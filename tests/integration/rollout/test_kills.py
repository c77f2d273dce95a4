"""A leading process dies at every call to the registry, or is killed and stopped as a process: one right end."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from libs.contracts.rollouts import ROLLOUT_ENDED, OrderRollout, RolloutState, SteerRollout, Step
from libs.contracts.rollouts import RolloutRef as Ref
from libs.kit import clock
from libs.kit.leader import Leader
from libs.kit.postgres import Database
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.wait import eventually, until
from services.rollout.ground import Ground
from services.rollout.migrations import migrate
from services.rollout.running.carrying import Carrying
from services.rollout.service.looking import Looking
from services.rollout.service.ordering import Ordering
from services.rollout.service.steering import Steering
from tests.integration.rollout.world import PLAN, Behaviour, World, without_shadow

QUIET = msgspec.structs.replace(PLAN, steps=(Step(share=0.3, min_s=3_600),), watch_s=0.2)
"""Needs a person to be promoted."""


class KilledError(Exception):
    """The process is gone."""


class Mortal:
    """The registry, for a process that dies before or after its n-th call."""

    def __init__(self, registry: Any, dies_at: int, *, after: bool) -> None:
        self.registry = registry
        self.left = dies_at
        self.after = after

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """Ask, or die."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise KilledError
        result = await self.registry.call(operation, request)
        if self.left == 0:
            raise KilledError
        return result


@asynccontextmanager
async def _process(ground: RolloutGround, database: Database, registry: Any) -> AsyncIterator[Ground]:
    """As much of a process as carries rollouts on."""
    leader = Leader(database, clock.new_instance_id("o"), schema="rollout", lease_s=20.0)
    await leader.check()
    assert leader.leads
    yield Ground(
        instance="o", settings=ground.settings(), database=database, leader=leader,
        registry=registry, feedback=registry, trainer=registry,
    )  # fmt: skip
    # Its lease would run out.
    await leader.resign()


async def _walk(
    ground: RolloutGround, database: Database, around: World, mortal: Mortal, words: Mapping[RolloutState, str]
) -> RolloutState:
    """Carry one rollout from its order to its end, by as many processes as it takes; a person says each word once."""
    ordered, left, registry = "", dict(words), mortal
    # One who is to be taken back by a person must not be done before.
    plan = msgspec.structs.replace(QUIET, watch_s=3_600.0) if RolloutState.WATCHING in words else QUIET
    while True:
        async with _process(ground, database, registry) as now:
            carrying = Carrying(now)
            try:
                if not ordered:
                    order = OrderRollout(plan=plan, author="ann")
                    ordered = (await Ordering(_with(now, around.models)).order(order)).id
                while True:
                    await carrying.look()
                    status = await Looking(now).show(Ref(ordered))
                    state = status.rollout.state
                    if state in left:
                        await Steering(now).steer(left.pop(state), SteerRollout(id=ordered, author="bob"))
                    if state in ROLLOUT_ENDED and set(await around.aliases()) == {"champion"}:
                        return state
            except KilledError:
                registry = Mortal(mortal.registry, 0, after=False)


def _with(ground: Ground, registry: Any) -> Ground:
    fields = {name: getattr(ground, name) for name in ground.__dataclass_fields__}
    return Ground(**{**fields, "registry": registry})


PROMOTED = ({RolloutState.RUNNING: "promote"}, RolloutState.PROMOTED)
TAKEN_BACK = ({RolloutState.RUNNING: "promote", RolloutState.WATCHING: "roll_back"}, RolloutState.ROLLED_BACK)
ABORTED = ({RolloutState.RUNNING: "abort"}, RolloutState.ABORTED)


@pytest.mark.parametrize(
    ("words", "end", "after"),
    [
        pytest.param(*PROMOTED, True, id="promoted, died after the call"),
        pytest.param(*PROMOTED, False, id="promoted, died before the call", marks=pytest.mark.slow),
        pytest.param(*TAKEN_BACK, True, id="taken back, died after the call", marks=pytest.mark.slow),
        pytest.param(*TAKEN_BACK, False, id="taken back, died before the call", marks=pytest.mark.slow),
        pytest.param(*ABORTED, True, id="aborted, died after the call", marks=pytest.mark.slow),
    ],
)
async def test_death_at_every_call_ends_right_and_nothing_happens_twice(
    words: Mapping[RolloutState, str], end: RolloutState, after: bool, ground: RolloutGround, around: World
) -> None:
    database = Database(ground.database)
    await migrate(database)
    champion, candidate = around.champion.digest, around.candidate.digest
    expected = {
        RolloutState.PROMOTED: [candidate],
        RolloutState.ROLLED_BACK: [candidate, champion],
        RolloutState.ABORTED: [],
    }[end]
    deaths = 0
    while True:
        mortal = Mortal(around.models, deaths + 1, after=after)
        moves = len(await around.moves())
        assert await _walk(ground, database, around, mortal, words) is end
        assert (await around.moves())[moves:] == expected
        await around.point("champion", around.champion)
        if mortal.left > 0:
            break
        deaths += 1
    assert deaths > 5
    await database.close()


@pytest.mark.slow
async def test_a_process_that_is_killed_in_every_state_is_succeeded(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    async with ground.started_process(lease_s=0.5) as process:
        rollout_id = (await desk.order(without_shadow())).id
        killed: list[tuple[RolloutState, int]] = []

        async def news() -> tuple[RolloutState, int] | None:
            found = (await desk.show(rollout_id)).rollout
            return (found.state, found.step) if (found.state, found.step) not in killed else None

        while not killed or killed[-1][0] not in ROLLOUT_ENDED:
            killed.append(await eventually(news, timeout_s=60, what="another state"))
            await process.end(signal.SIGKILL)
            await process.start()
        assert killed[-1][0] is RolloutState.PROMOTED
        assert await around.moves() == [around.champion.digest, around.candidate.digest]
        states = [(one.state, one.step) for one in (await desk.show(rollout_id)).history]
        assert len(states) == len(set(states)), "no state is entered twice"


async def test_a_leader_that_was_stopped_is_not_heard_when_it_goes_on(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    plan = msgspec.structs.replace(without_shadow(), steps=(Step(share=0.3, min_s=3_600),))
    async with ground.started_process(lease_s=1.0) as first:
        rollout_id = (await desk.order(plan)).id
        await until(lambda: around.traffic.splits != (), timeout_s=60)
        assert first.process is not None
        first.process.send_signal(signal.SIGSTOP)
        async with ground.service(lease_s=1.0) as second:
            await until(lambda: second.leader.leads, timeout_s=30)
            await until(lambda: around.traffic.heard[-1].epoch == second.leader.epoch, timeout_s=30)
            first.process.send_signal(signal.SIGCONT)
            around.traffic.candidate = Behaviour(faults=0.9)
            await desk.reaches(rollout_id, RolloutState.ABORTED)
            await until(lambda: around.traffic.splits == (), timeout_s=30)
            numbers = [(one.epoch, one.sequence) for one in around.traffic.heard]
            assert numbers == sorted(set(numbers))
            assert len({epoch for epoch, _ in numbers}) >= 2, "both were heard, one after the other"
            assert await around.moves() == [around.champion.digest]
