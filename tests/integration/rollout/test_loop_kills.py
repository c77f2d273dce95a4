"""Whichever service is killed in whichever state of a turn: it ends in one right end, and nothing was done twice."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from libs.contracts.rollouts import TurnState
from libs.contracts.training import JobState
from libs.testkit.registry import RegistryGround, registry_process
from libs.testkit.rollout import RolloutGround
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.trainer import TrainerProcess, trainer_process
from tests.integration.rollout.loop_platform import Platform, platform_of
from tests.integration.rollout.world import world

SERVICES: Final = ("rollout", "feedback", "trainer", "registry")
STATES: Final = (TurnState.SELECTING, TurnState.TRAINING, TurnState.ROLLING_OUT)
pytestmark = pytest.mark.slow


@dataclass
class Whole:
    """A platform all of whose services are processes."""

    platform: Platform
    processes: dict[str, ServiceProcess | TrainerProcess]


@asynccontextmanager
async def _whole(ground: RolloutGround, registry_ground: RegistryGround) -> AsyncIterator[Whole]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(registry_process(registry_ground))
        models = await stack.enter_async_context(registry_ground.desk())
        around = await stack.enter_async_context(world(ground, models))
        platform = await stack.enter_async_context(platform_of(ground, models, around))
        environment = platform.feedbacks.environment(build_s=0.1)
        feedback = ServiceProcess("feedback", ground.directory, environment)
        await stack.enter_async_context(running(feedback))
        trainer = await stack.enter_async_context(
            trainer_process(platform.trainers, lease_s=2.0, **platform.trainer_settings())
        )
        rollout = ground.process(lease_s=1.0)
        await stack.enter_async_context(running(rollout))
        yield Whole(platform, {"rollout": rollout, "feedback": feedback, "trainer": trainer, "registry": registry})


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.value)
@pytest.mark.parametrize("service", SERVICES)
async def test_a_turn_ends_right_whichever_service_is_killed_in_whichever_state(
    ground: RolloutGround, registry_ground: RegistryGround, service: str, state: TurnState
) -> None:
    async with _whole(ground, registry_ground) as whole:
        platform, process = whole.platform, whole.processes[service]
        if state is TurnState.TRAINING:
            platform.trainers.behave(wait_at=3)
        await platform.judge()
        await platform.apply()
        if state is TurnState.TRAINING:
            turn = await platform.reaches(state, job=True)
            await platform.trainer.reaches(turn.job, JobState.RUNNING, step=3)
        else:
            await platform.reaches(state)
        await process.end(signal.SIGKILL)
        platform.trainers.behave()
        await process.start()
        await platform.has_made_one_of_each(await platform.reaches(TurnState.PROMOTED))
