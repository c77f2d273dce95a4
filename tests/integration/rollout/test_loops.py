"""Whole turns on real services: judgements in, champion out; the process that turns is killed in every state."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from cli.lineage.rest import RestLineage
from libs.contracts.datasets import ListJobs, Quarantine, Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.registry import Kind, Resolve, VersionDetails
from libs.contracts.rollouts import (
    TURN_ENDED,
    ApplyLoop,
    Budget,
    FindRollouts,
    FindTurns,
    Loop,
    LoopName,
    LoopStatus,
    RolloutPlan,
    RolloutState,
    Trigger,
    Turn,
    TurnState,
)
from libs.contracts.training import FindJobs, Job, JobKind, JobState, Recipe
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.testkit.feedback import TENANT, FeedbackDesk, FeedbackGround, captured, completed, new_signal
from libs.testkit.front import running, settings_for
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.trainer import TrainerDesk, TrainerGround, write_dataset
from libs.testkit.wait import eventually
from tests.integration.rollout.lineage_checks import (
    a_judgement_names_what_it_shaped,
    every_answer_resolves,
    it_can_be_made_again,
    what_nobody_shaped_says_so,
)
from tests.integration.rollout.world import NAME, PLAN, World, without_shadow

PATIENCE_S: Final = 240.0
JUDGED: Final = 24
KEY: Final = "sk-llmos-none"


@dataclass
class Platform:
    """Everything that a loop turns with."""

    ground: RolloutGround
    rollouts: RolloutDesk
    feedback: FeedbackDesk
    trainer: TrainerDesk
    trainers: TrainerGround
    models: RegistryDesk
    around: World
    loop: Loop

    async def judge(self, numbers: range = range(JUDGED)) -> None:
        """Answers of the champion, each with a thumb up."""
        for number in numbers:
            done = completed(model_version=self.around.champion.reference)
            said = captured(done, f"What costs article {number}?", f"It costs {number} euros and {number} cents.")
            thumb = new_signal(done.request_id, rater=f"user-{number}")
            await self.feedback.say([done, said, thumb])

    async def apply(self, **more: Any) -> LoopStatus:
        """Declare the loop."""
        loop = msgspec.structs.replace(self.loop, **more)
        status: LoopStatus = await self.rollouts.call("loop_apply", ApplyLoop(loop=loop, author="ann"))
        return status

    async def turns(self) -> tuple[Turn, ...]:
        """Newest first."""
        turns: tuple[Turn, ...] = (await self.rollouts.call("turn_list", FindTurns())).turns
        return turns

    async def reaches(self, *states: TurnState, job: bool = False) -> Turn:
        """The first turn as soon as it is in one of these states, and if need be its training ordered."""

        async def there() -> Turn | None:
            turns = await self.turns()
            if not turns:
                return None
            assert turns[-1].state not in TURN_ENDED - set(states), turns[-1].reason
            return turns[-1] if turns[-1].state in states and (turns[-1].job or not job) else None

        return await eventually(there, timeout_s=PATIENCE_S, what=f"a turn in {states}")

    async def has_made_one_of_each(self, turn: Turn) -> None:
        """One data set, one training, one rollout, and the champion moved once."""
        builds = (await self.feedback.call("dataset_list", ListJobs())).jobs
        assert [build.id for build in builds] == [turn.dataset_job]
        trainings = (await self.trainer.call("job_list", FindJobs(kind=JobKind.TRAINING))).jobs
        assert [job.id for job in trainings] == [turn.job]
        rollouts = (await self.rollouts.call("rollout_list", FindRollouts())).rollouts
        assert [(one.id, one.turn, one.state) for one in rollouts] == [(turn.rollout, turn.id, RolloutState.PROMOTED)]
        made: VersionDetails = await self.models.call("version_show", Resolve(turn.version))
        assert await self.around.moves() == [self.around.champion.digest, made.version.digest]
        assert [one.number for one in await self.turns()] == [1]


@pytest_asyncio.fixture(loop_scope="session")
async def platform(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    async with _platform(ground, models, around) as whole:
        yield whole


@asynccontextmanager
async def _platform(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    keys = ground.directory / "keys"
    keys.write_text(f"{KEY} acme\n")
    parts = (ground.nats, ground.postgres, ground.database, ground.directory)
    feedback, trainers = FeedbackGround(*parts), TrainerGround(*parts)
    questions = write_dataset(ground.directory / "questions", split="test")
    tests = await models.publish(questions, "questions", Kind.DATASET, annotations={"shape": "evaluation"})
    loop = Loop(
        name="nightly",
        model=NAME,
        selection=Selection(
            name="lessons",
            shape=Shape.SFT,
            tenant=TENANT,
            splits={"train": 1.0},
            near_duplicates=0.0,
            quarantine=Quarantine(enabled=False),
        ),
        evaluation=EvaluationPlan(tasks=(Task(name="shop", dataset=tests.reference),)),
        recipe=Recipe(steps=6, checkpoint_steps=2),
        rollout=_inside(PLAN),
        trigger=Trigger(signals=JUDGED, min_interval_s=0),
        budget=Budget(turns_per_day=1),
    )
    async with (
        feedback.feedback(build_s=0.1),
        trainers.trainer(api_key_file=keys, gateway_url="http://127.0.0.1:1/v1"),
        feedback.desk() as judging,
        trainers.desk() as training,
        ground.desk() as asking,
    ):
        yield Platform(ground, asking, judging, training, trainers, models, around, loop)


def _inside(plan: RolloutPlan) -> RolloutPlan:
    """The plan as a loop declares it."""
    return msgspec.structs.replace(without_shadow(plan), name="", candidate="", watch_s=0.5)


async def test_a_loop_turns_by_itself_and_everything_names_what_shaped_it(platform: Platform) -> None:
    async with platform.ground.service():
        status = await platform.apply()
        assert (status.signals, status.waits_for) == (0, f"0 of {JUDGED} judgements")
        await platform.judge(range(JUDGED - 1))
        await eventually(lambda: _counts(platform, JUDGED - 1), timeout_s=PATIENCE_S, what="all but one are counted")
        assert await platform.turns() == ()
        await platform.judge(range(JUDGED - 1, JUDGED))
        turn = await platform.reaches(TurnState.PROMOTED)
        await platform.has_made_one_of_each(turn)
        assert (turn.number, turn.signals, turn.author) == (1, JUDGED, "")
        job: Job = await platform.trainer.show(turn.job)
        assert (job.version, job.report) == (turn.version, turn.report)
        plan = job.training
        assert plan is not None
        assert plan.evaluation is not None
        champion = platform.around.champion
        assert plan.evaluation.baseline == turn.baseline == full_reference(NAME, champion.digest)
        assert plan.base == turn.base == full_reference(NAME, platform.around.base.digest)
        found = (await platform.rollouts.call("turn_list", FindTurns(version=turn.version))).turns
        assert [one.id for one in found] == [turn.id]
        status = await platform.rollouts.call("loop_show", LoopName("nightly"))
        assert (status.turn, status.waits_for.partition(",")[0]) == (turn, "1 turns began in 24 hours")
        await _lineage(platform, turn)


async def _lineage(platform: Platform, turn: Turn) -> None:
    feedback, around = platform.feedback, platform.around
    admins = platform.ground.directory / "admins"
    admins.write_text(f"ops:{KEY}\n")
    settings = settings_for(platform.ground.nats, platform.ground.directory, admin_keys_file=admins)
    async with running(settings) as front, RestLineage(f"http://127.0.0.1:{front.port}", KEY) as lineage:
        await every_answer_resolves(lineage, feedback, turn, JUDGED)
        await what_nobody_shaped_says_so(lineage, feedback, around.base.reference)
        await a_judgement_names_what_it_shaped(lineage, feedback, turn, NAME)
    await it_can_be_made_again(platform.models, feedback, platform.trainer, turn, around.champion.reference)


async def _counts(platform: Platform, count: int) -> bool | None:
    status: LoopStatus = await platform.rollouts.call("loop_show", LoopName("nightly"))
    return status.signals == count or None


async def _is_killed_in(platform: Platform, state: TurnState) -> None:
    """The process that turns is killed in a state, and another one ends the turn."""
    held = {"wait_at": 3} if state is TurnState.TRAINING else {}
    platform.trainers.behave(**held)
    process = platform.ground.process(lease_s=1.0)
    await process.start()
    try:
        await platform.judge()
        await platform.apply()
        turn = await platform.reaches(state)
        if state is TurnState.TRAINING:
            turn = await platform.reaches(state, job=True)
            await platform.trainer.reaches(turn.job, JobState.RUNNING, step=3)
        await process.end(signal.SIGKILL)
        platform.trainers.behave()
        await process.start()
        await platform.has_made_one_of_each(await platform.reaches(TurnState.PROMOTED))
    finally:
        await process.end()


@pytest.mark.slow
@pytest.mark.parametrize("state", [TurnState.SELECTING, TurnState.TRAINING, TurnState.ROLLING_OUT])
async def test_a_process_that_is_killed_in_any_state_is_replaced(platform: Platform, state: TurnState) -> None:
    await _is_killed_in(platform, state)


async def test_a_loop_that_says_nonsense_is_refused_by_field(platform: Platform) -> None:
    async with platform.ground.service():
        for change, param in (
            ({"selection": Selection(name="x", shape=Shape.RAW, tenant="t")}, "selection.shape"),
            ({"rollout": _falling()}, "rollout.steps"),
            ({"budget": Budget(turn_s=0.1)}, "budget.turn_s"),
        ):
            with pytest.raises(ServiceError) as caught:
                await platform.apply(**change)
            assert caught.value.param == param


def _falling() -> RolloutPlan:
    plan = _inside(PLAN)
    return msgspec.structs.replace(plan, steps=tuple(reversed(plan.steps)))
