"""People pause, resume, promote, abort and roll back; somebody else moves the alias meanwhile."""

import msgspec
import pytest

from libs.contracts.rollouts import RolloutPlan, RolloutState, Step
from libs.kit.errors import ServiceError
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.wait import eventually, until
from tests.integration.rollout.world import PLAN, Behaviour, World, without_shadow

SLOW = msgspec.structs.replace(
    PLAN, steps=(Step(share=0.3, min_s=3_600), Step(share=0.5, min_s=3_600)), watch_s=3_600.0
)
"""Takes no step by itself."""


async def _begun(desk: RolloutDesk, plan: RolloutPlan = SLOW) -> str:
    begun = await desk.order(plan)
    await desk.reaches(begun.id, RolloutState.RUNNING)
    return begun.id


async def _refused(desk: RolloutDesk, verb: str, rollout_id: str) -> None:
    with pytest.raises(ServiceError) as caught:
        await desk.do(verb, rollout_id)
    assert caught.value.code == "conflict"


async def _tidy(around: World) -> None:
    async def gone() -> bool | None:
        return set(await around.aliases()) <= {"champion"} or None

    assert await eventually(gone, what="no alias of a rollout")


async def test_a_paused_rollout_takes_no_step_until_it_is_resumed(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    plan = msgspec.structs.replace(without_shadow(), steps=(Step(share=0.3, min_s=0, min_requests=10**6),))
    async with ground.service():
        rollout_id = await _begun(desk, plan)
        assert (await desk.do("pause", rollout_id)).state is RolloutState.PAUSED
        assert (await desk.do("pause", rollout_id)).state is RolloutState.PAUSED
        status = await desk.show(rollout_id)
        assert [(one.state, one.author, one.reason) for one in status.history][-1] == (RolloutState.PAUSED, "bob", "so")
        assert len(status.history) == 3, "a repeat changes nothing"
        assert status.now is not None
        assert (status.now.action, status.now.reason) == ("wait", "It is paused.")
        await until(lambda: [one.share for one in around.traffic.splits] == [0.3])
        began_ms = status.rollout.step_began_ms
        assert (await desk.do("resume", rollout_id)).step_began_ms > began_ms, "a pause does not age the step"
        await desk.do("pause", rollout_id)
        around.traffic.candidate = Behaviour(faults=0.9)
        assert (await desk.reaches(rollout_id, RolloutState.ABORTED)).rollout.reason.startswith("More error")
        await _refused(desk, "resume", rollout_id)
        await _refused(desk, "promote", rollout_id)


async def test_promoted_by_hand_and_rolled_back_by_hand_much_later(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    async with ground.service():
        rollout_id = await _begun(desk)
        await desk.do("promote", rollout_id)
        await desk.reaches(rollout_id, RolloutState.WATCHING)
        await until(lambda: [one.share for one in around.traffic.splits] == [1 - SLOW.holdback])
        await desk.do("promote", rollout_id)
        await desk.reaches(rollout_id, RolloutState.PROMOTED)
        await _tidy(around)
        await _refused(desk, "abort", rollout_id)
        await desk.do("roll_back", rollout_id)
        status = await desk.reaches(rollout_id, RolloutState.ROLLED_BACK, RolloutState.ABORTED)
        assert status.rollout.state is RolloutState.ROLLED_BACK
        assert status.rollout.reason == "so"
        champion, candidate = around.champion.digest, around.candidate.digest
        assert await around.moves() == [champion, candidate, champion]
        assert (await desk.do("roll_back", rollout_id)).state is RolloutState.ROLLED_BACK


async def test_what_is_not_champion_any_more_is_not_rolled_back(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    plan = msgspec.structs.replace(SLOW, watch_s=0.0)
    async with ground.service():
        rollout_id = await _begun(desk, plan)
        await desk.do("promote", rollout_id)
        await desk.reaches(rollout_id, RolloutState.PROMOTED)
        third = await around.publish(ground.directory, 3)
        await around.point("champion", third)
        await _refused(desk, "roll_back", rollout_id)
        await around.point("champion", around.candidate)
        other = await _begun(desk, msgspec.structs.replace(plan, candidate=third.reference))
        await _refused(desk, "roll_back", rollout_id)
        await desk.do("abort", other)
        await desk.do("roll_back", rollout_id)
        await desk.reaches(rollout_id, RolloutState.ROLLED_BACK)
        await _tidy(around)


@pytest.mark.parametrize("where", ["elsewhere", "nowhere"])
@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.WATCHING])
async def test_an_alias_that_somebody_moved_stays_where_they_put_it(
    where: str, state: RolloutState, ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    async with ground.service():
        rollout_id = await _begun(desk)
        if state is RolloutState.WATCHING:
            await desk.do("promote", rollout_id)
            await desk.reaches(rollout_id, state)
        await around.point("champion", around.base if where == "elsewhere" else None)
        status = await desk.reaches(rollout_id, RolloutState.ABORTED)
        assert "somebody moved it" in status.rollout.reason
        await _tidy(around)
        assert (await around.aliases()).get("champion", "") == (around.base.digest if where == "elsewhere" else "")


async def test_harm_that_shows_after_the_promotion_moves_the_alias_back(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    async with ground.service():
        rollout_id = await _begun(desk)
        await desk.do("promote", rollout_id)
        await desk.reaches(rollout_id, RolloutState.WATCHING)
        around.traffic.candidate = Behaviour(disapproval=0.9)
        status = await desk.reaches(rollout_id, RolloutState.ROLLED_BACK, RolloutState.PROMOTED)
        assert status.rollout.state is RolloutState.ROLLED_BACK
        assert status.rollout.reason.startswith("More disapproval")
        champion, candidate = around.champion.digest, around.candidate.digest
        assert await around.moves() == [champion, candidate, champion]
        await _tidy(around)
        await until(lambda: around.traffic.splits == ())
