"""Everything that a loop turns with, and what is true of a turn that ended well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec

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
    LoopStatus,
    RolloutPlan,
    RolloutState,
    Trigger,
    Turn,
    TurnState,
)
from libs.contracts.training import FindJobs, JobKind, Recipe
from libs.testkit.feedback import TENANT, FeedbackDesk, FeedbackGround, captured, completed, new_signal
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.trainer import TrainerDesk, TrainerGround, write_dataset
from libs.testkit.wait import eventually
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
    feedbacks: FeedbackGround
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

    def trainer_settings(self) -> dict[str, Any]:
        """Beside those of every test's."""
        return {"api_key_file": self.ground.directory / "keys", "gateway_url": "http://127.0.0.1:1/v1"}


def a_loop(questions: str) -> Loop:
    """Turns once, of all that is judged."""
    return Loop(
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
        evaluation=EvaluationPlan(tasks=(Task(name="shop", dataset=questions),)),
        recipe=Recipe(steps=6, checkpoint_steps=2),
        rollout=inside(PLAN),
        trigger=Trigger(signals=JUDGED, min_interval_s=0),
        budget=Budget(turns_per_day=1),
    )


def inside(plan: RolloutPlan) -> RolloutPlan:
    """The plan as a loop declares it."""
    return msgspec.structs.replace(without_shadow(plan), name="", candidate="", watch_s=0.5)


@asynccontextmanager
async def platform_of(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    """All of it but services, with which whoever asks for it begins."""
    (ground.directory / "keys").write_text(f"{KEY} acme\n")
    parts = (ground.nats, ground.postgres, ground.database, ground.directory)
    feedback, trainers = FeedbackGround(*parts), TrainerGround(*parts)
    questions = write_dataset(ground.directory / "questions", split="test")
    tests = await models.publish(questions, "questions", Kind.DATASET, annotations={"shape": "evaluation"})
    async with feedback.desk() as judging, trainers.desk() as training, ground.desk() as asking:
        yield Platform(ground, asking, judging, training, feedback, trainers, models, around, a_loop(tests.reference))
