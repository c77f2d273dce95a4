"""Loops and rollouts are somebody's: a name tells nobody who had it, and a project sees its own."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio

from libs.contracts.registry import Kind, SetAlias
from libs.contracts.rollouts import ApplyLoop, FindRollouts, FindTurns, LoopName, LoopStatus, Turn, TurnState
from libs.contracts.versions import full_reference
from libs.kit.publish import Description, Options, publish, scan
from libs.testkit.models import write_adapter
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutGround
from libs.testkit.wait import eventually
from tests.integration.rollout.loop_platform import PATIENCE_S, Platform, platform_of
from tests.integration.rollout.world import PLAN, World


@pytest_asyncio.fixture(loop_scope="session")
async def platform(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    async with platform_of(ground, models, around) as whole, whole.feedbacks.feedback(build_s=0.1), ground.service():
        yield whole


async def _turned(platform: Platform, tenant: str) -> Turn:
    """A turn of the loop by hand; nothing was judged, so that it fails."""
    name = LoopName(platform.loop.name, "ann", tenant)
    begun: Turn = await platform.rollouts.call("loop_turn", name)

    async def ended() -> Turn | None:
        found: LoopStatus = await platform.rollouts.call("loop_show", name)
        turn = found.turn
        return turn if turn is not None and turn.id == begun.id and turn.state is TurnState.FAILED else None

    return await eventually(ended, timeout_s=PATIENCE_S, what="the end of a turn")


async def _declared(platform: Platform, tenant: str) -> LoopStatus:
    selection = msgspec.structs.replace(platform.loop.selection, tenant=tenant)
    loop = msgspec.structs.replace(platform.loop, tenant=tenant, selection=selection)
    status: LoopStatus = await platform.rollouts.call("loop_apply", ApplyLoop(loop=loop, author="ann"))
    return status


async def test_a_loop_under_a_name_that_was_anothers_begins_anew(platform: Platform) -> None:
    assert (await _declared(platform, "acme")).turn is None
    first = await _turned(platform, "acme")
    await platform.rollouts.call("loop_remove", LoopName(platform.loop.name, "ann", "acme"))
    status = await _declared(platform, "other")
    assert (status.turn, status.waits_for) == (None, f"0 of {platform.loop.trigger.signals} judgements")
    second = await _turned(platform, "other")
    assert (first.number, second.number) == (1, 2)
    for tenant, turn in (("acme", first), ("other", second)):
        page = await platform.rollouts.call("turn_list", FindTurns(tenant=tenant))
        assert [one.id for one in page.turns] == [turn.id]


async def test_what_the_platform_rolls_out_for_a_project_is_the_projects(platform: Platform) -> None:
    base = full_reference(platform.around.base.name, platform.around.base.digest)
    made: list[Any] = []
    for seed in (81, 82):
        written = write_adapter(platform.ground.directory / f"o{seed}", seed)
        found = scan(written, Description(name="tone", kind=Kind.ADAPTER, base=base))
        made.append(await publish(platform.models, found, "ann", options=Options(tenant="acme")))
    champion = SetAlias(name="tone", alias="champion", target=made[0].reference, author="ann")
    await platform.models.call("alias_set", champion)
    plan = msgspec.structs.replace(PLAN, name="tone", candidate=made[1].reference)
    begun = await platform.rollouts.order(plan)
    assert begun.tenant == "acme"
    for tenant, seen in (("acme", [begun.id]), ("other", [])):
        page = await platform.rollouts.call("rollout_list", FindRollouts(tenant=tenant))
        assert [one.id for one in page.rollouts] == seen
    await platform.rollouts.do("abort", begun.id)
