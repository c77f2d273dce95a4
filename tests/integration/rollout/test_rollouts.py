"""Whole rollouts on real servers, with invented traffic: good ones are promoted, bad ones taken back."""

import pytest

from libs.contracts.rollouts import RolloutState
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.wait import eventually
from tests.integration.rollout.world import PLAN, Behaviour, World, without_shadow

BAD = {
    "errors": (Behaviour(faults=0.5), "More error:"),
    "slow first token": (Behaviour(first_token_ms=500), "More slow_first_token:"),
    "slow tokens": (Behaviour(token_ms=50), "More slow_token:"),
    "too long": (Behaviour(tokens=400), "More odd_length:"),
    "disliked": (Behaviour(disapproval=0.7), "More disapproval:"),
    "wrong on one tag": (Behaviour(disapproval=0.02, disapproval_on={"refund": 0.7}), "More disapproval on refund:"),
    "silent": (Behaviour(answers=False), "Nothing is heard of the candidate's"),
}


async def test_a_good_candidate_becomes_champion(ground: RolloutGround, desk: RolloutDesk, around: World) -> None:
    async with ground.service():
        begun = await desk.order(PLAN)
        assert begun.state is RolloutState.PREPARING
        assert (begun.candidate, begun.baseline) == (around.candidate.reference, around.champion.reference)
        status = await desk.reaches(begun.id, RolloutState.PROMOTED, RolloutState.ABORTED, RolloutState.ROLLED_BACK)
        assert status.rollout.state is RolloutState.PROMOTED, status.rollout.reason
        assert await around.moves() == [around.champion.digest, around.candidate.digest]
        states = [(change.state, change.step) for change in status.history]
        assert states == [
            (RolloutState.PREPARING, 0),
            (RolloutState.RUNNING, 0),
            (RolloutState.RUNNING, 1),
            (RolloutState.RUNNING, 2),
            (RolloutState.PROMOTING, 2),
            (RolloutState.WATCHING, 3),
            (RolloutState.PROMOTED, 3),
        ]
        assert status.agreement == pytest.approx(0.9)
        promotion = status.history[4].decision
        assert promotion is not None
        assert promotion.action == "promote"
        assert {one.guard.value for one in promotion.findings} >= {"error", "disapproval", "slow_token"}
        await _settled(around)


async def _settled(around: World) -> None:
    async def gone() -> bool | None:
        return set(await around.aliases()) == {"champion"} or None

    assert await eventually(gone, what="no alias of a rollout")


EVERY_DAY = {"errors", "wrong on one tag", "silent"}


@pytest.mark.parametrize(
    "name", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in BAD]
)
async def test_a_bad_candidate_never_becomes_champion(
    name: str, ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    around.traffic.candidate, why = BAD[name]
    async with ground.service():
        begun = await desk.order(without_shadow())
        status = await desk.reaches(begun.id, RolloutState.PROMOTED, RolloutState.ABORTED, RolloutState.ROLLED_BACK)
        assert status.rollout.state is RolloutState.ABORTED
        assert await around.moves() == [around.champion.digest]
        decision = status.rollout.decision
        assert decision is not None
        assert decision.action == "abort"
        assert why in decision.reason
        await _settled(around)
