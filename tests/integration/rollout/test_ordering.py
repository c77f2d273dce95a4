"""What may be ordered: refused plans, repeats, and one rollout per name."""

import asyncio
from typing import Any

import msgspec
import pytest

from libs.contracts.registry import Kind
from libs.contracts.rollouts import FindRollouts, OrderRollout, RolloutRef, RolloutState, SteerRollout
from libs.kit.errors import ServiceError
from libs.testkit.models import write_model
from libs.testkit.rollout import RolloutDesk, RolloutGround
from tests.integration.rollout.world import PLAN, World, without_shadow

ID = "roll_0123456789abcdef01234567"


async def _refused(desk: RolloutDesk, code: str, param: str, *, rollout_id: str = "", **change: Any) -> None:
    with pytest.raises(ServiceError) as caught:
        await desk.order(msgspec.structs.replace(PLAN, **change), rollout_id)
    assert (caught.value.code, caught.value.param) == (code, param), caught.value.message


async def test_what_cannot_be_rolled_out_is_refused(ground: RolloutGround, desk: RolloutDesk, around: World) -> None:
    other = await around.models.publish(write_model(ground.directory / "other", 9), "other")
    loner = await around.models.publish(write_model(ground.directory / "loner", 8), "helpdesk", Kind.MODEL)
    async with ground.service():
        await _refused(desk, "invalid_value", "steps", steps=PLAN.steps[::-1])
        await _refused(desk, "invalid_value", "candidate", candidate="helpdesk@@")
        await _refused(desk, "version_not_found", "candidate", candidate="helpdesk@99")
        await _refused(desk, "version_not_found", "alias", alias="nobody")
        await _refused(desk, "version_not_found", "alias", name="unheard-of", candidate="helpdesk@3")
        await _refused(desk, "invalid_value", "candidate", candidate=other.reference)
        await _refused(desk, "invalid_value", "candidate", candidate="helpdesk@champion")
        await _refused(desk, "incompatible_base", "candidate", candidate=loner.reference)
        await _refused(desk, "invalid_value", "id", rollout_id="roll_1")
        for text in ("a\0b", "a" * 10_000):
            with pytest.raises(ServiceError, match="author"):
                await desk.call("rollout_order", OrderRollout(plan=PLAN, author=text))
        assert (await desk.call("rollout_list", FindRollouts())).rollouts == ()
        for call, request in (("rollout_show", RolloutRef("x\0")), ("rollout_abort", SteerRollout(id="x", author="a"))):
            with pytest.raises(ServiceError) as caught:
                await desk.call(call, request)
            assert caught.value.code == "not_found"


async def test_one_rollout_per_name_and_a_repeat_is_the_same_one(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    for worker in around.workers.workers:
        worker.obeys = False
    async with ground.service():
        begun = await asyncio.gather(*(desk.order(PLAN, ID) for _ in range(5)))
        assert {one.id for one in begun} == {ID}
        for rollout_id in ("", "roll_fedcba9876543210fedcba98"):
            await _refused(desk, "conflict", "name", rollout_id=rollout_id)
        assert (await desk.order(msgspec.structs.replace(PLAN, steps=()), ID)).plan.steps == PLAN.steps
        await desk.do("abort", ID)
        assert (await desk.order(PLAN, ID)).state is RolloutState.ABORTED
        again = await desk.order(PLAN)
        page = await desk.call("rollout_list", FindRollouts(limit=1))
        assert [one.id for one in page.rollouts] == [again.id]
        rest = await desk.call("rollout_list", FindRollouts(limit=1, before=page.next))
        assert ([one.id for one in rest.rollouts], rest.next) == ([ID], "")
        stopped = await desk.call("rollout_list", FindRollouts(name="helpdesk", state=RolloutState.ABORTED))
        assert [one.id for one in stopped.rollouts] == [ID]
        for bad in ({"limit": 0}, {"limit": 10_000}, {"before": "x"}):
            with pytest.raises(ServiceError, match="must be"):
                await desk.call("rollout_list", FindRollouts(**bad))


async def test_workers_that_do_not_load_it_in_time_end_it(
    ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    around.workers.workers[1].cannot_load = {around.candidate.reference}
    async with ground.service():
        begun = await desk.order(msgspec.structs.replace(without_shadow(), prepare_s=1.0))
        status = await desk.reaches(begun.id, RolloutState.ABORTED, RolloutState.RUNNING)
        assert status.rollout.state is RolloutState.ABORTED
        assert "w1 has not loaded" in status.rollout.reason
        assert await around.moves() == [around.champion.digest]
