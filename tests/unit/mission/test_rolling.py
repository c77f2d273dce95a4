"""How a rollout is told of, and which ends the demo takes for right."""

import itertools
from collections.abc import Callable
from typing import cast

import pytest

from cli.mission import plans
from cli.mission.ledger import Act, Ledger
from cli.mission.rolling import Follower, promoted, stopped_for
from cli.mission.scene import Scene
from cli.mission.view import Bar, View
from deploy.local.errors import StackError
from libs.contracts.rollouts import Decision, Found, Guard, Rollout, RolloutState, RolloutStatus

COLOUR = Found(guard=Guard.DISAPPROVAL, tag="colour", harm=True)
PRICE = Found(guard=Guard.DISAPPROVAL, tag="price", harm=True)
HARMLESS = Found(guard=Guard.DISAPPROVAL, tag="colour")
ERRORS = Found(guard=Guard.ERROR, harm=True)


def status(state: RolloutState, *found: Found, step: int = 0) -> RolloutStatus:
    rollout = Rollout(
        id="roll_1", state=state, plan=plans.rollout("helpdesk", "helpdesk@2"), author="a", created_ms=1, changed_ms=1,
        step=step, decision=Decision(action="abort", reason="", findings=found), reason="why",
    )  # fmt: skip
    return RolloutStatus(rollout=rollout)


class Listening(View):
    """Hands on what is to be said between the steps."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def line(self, text: str) -> None:
        self._say(text)


class FakeScene:
    """Only what a follower looks at."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.ledger = Ledger()
        self.view = Listening(say)


def test_each_step_is_said_once_and_kept_with_its_time() -> None:
    said: list[str] = []
    scene = FakeScene(said.append)
    act = Act("", {})
    follower = Follower(cast("Scene", scene), Bar(), act)
    seen = [
        status(RolloutState.PREPARING),
        *[status(RolloutState.RUNNING, step=step) for step in (0, 0, 1, 2, 2, 3)],
        status(RolloutState.WATCHING, step=4),
        status(RolloutState.PROMOTED, step=4),
    ]
    for one in seen:
        follower.see(one)
    follower.end()
    expected = ["workers load it", "shadow 50 %", "canary 5 %", "canary 25 %", "canary 50 %"]
    assert said == [*expected, "champion, and still watched", "champion"]
    assert [one.title for one in act.spans] == said
    assert all(one.to_s == other.from_s or one.to_s <= other.from_s for one, other in itertools.pairwise(act.spans))


def test_only_a_promotion_is_a_promotion() -> None:
    promoted(status(RolloutState.PROMOTED))
    with pytest.raises(StackError, match="aborted"):
        promoted(status(RolloutState.ABORTED))


@pytest.mark.parametrize("state", [RolloutState.ABORTED, RolloutState.ROLLED_BACK])
def test_a_stop_counts_if_it_was_for_the_right_reason(state: RolloutState) -> None:
    stopped_for(status(state, PRICE, COLOUR), "colour")
    for found in ((), (PRICE,), (HARMLESS,), (ERRORS,)):
        with pytest.raises(StackError, match="not for its colour"):
            stopped_for(status(state, *found), "colour")


def test_a_lie_that_is_promoted_fails_the_demo() -> None:
    with pytest.raises(StackError, match="not stopped: promoted"):
        stopped_for(status(RolloutState.PROMOTED, COLOUR), "colour")
