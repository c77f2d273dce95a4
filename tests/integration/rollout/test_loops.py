"""A whole turn on real services: judgements in, champion out, and everything names what shaped it."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from cli.lineage.rest import RestLineage
from libs.contracts.datasets import Selection, Shape
from libs.contracts.rollouts import (
    Budget,
    FindTurns,
    LoopName,
    LoopStatus,
    RolloutPlan,
    Turn,
    TurnState,
)
from libs.contracts.training import Job
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.testkit.front import running, settings_for
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutGround
from libs.testkit.wait import eventually
from tests.integration.rollout.lineage_checks import (
    a_judgement_names_what_it_shaped,
    every_answer_resolves,
    it_can_be_made_again,
    what_nobody_shaped_says_so,
)
from tests.integration.rollout.loop_platform import JUDGED, KEY, PATIENCE_S, Platform, inside, platform_of
from tests.integration.rollout.world import NAME, PLAN, World


@pytest_asyncio.fixture(loop_scope="session")
async def platform(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    async with (
        platform_of(ground, models, around) as whole,
        whole.feedbacks.feedback(build_s=0.1),
        whole.trainers.trainer(**whole.trainer_settings()),
    ):
        yield whole


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
    plan = inside(PLAN)
    return msgspec.structs.replace(plan, steps=tuple(reversed(plan.steps)))
