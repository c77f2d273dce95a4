"""What a person's word leads to in each state, and how requests are divided meanwhile."""

import re

import msgspec
import pytest

from libs.contracts.rollouts import ROLLOUT_ENDED, ROLLOUT_TRANSITIONS, RolloutPlan, RolloutState, Step
from libs.kit.errors import ServiceError
from services.rollout.domain.machine import names_of, split_of, wish
from services.rollout.migrations.versions import r0001_first

PLAN = RolloutPlan(
    name="helpdesk", candidate="helpdesk@2", steps=(Step(share=0.1, shadow=True), Step(share=0.25)), holdback=0.1
)
VERBS = ("pause", "resume", "promote", "abort", "roll_back")


REFUSED = {
    "pause": {"preparing", "promoting", "watching", "rolling_back", "promoted", "aborted", "rolled_back"},
    "resume": {"preparing", "promoting", "watching", "rolling_back", "promoted", "aborted", "rolled_back"},
    "promote": {"preparing", "rolling_back", "aborted", "rolled_back"},
    "abort": {"promoted"},
    "roll_back": set(),
}


@pytest.mark.parametrize("state", RolloutState)
@pytest.mark.parametrize("verb", VERBS)
def test_a_word_leads_where_the_machine_allows_or_is_refused(state: RolloutState, verb: str) -> None:
    if state.value in REFUSED[verb]:
        with pytest.raises(ServiceError, match=state.value) as caught:
            wish("roll_1", state, verb)
        assert caught.value.code == "conflict"
    else:
        to = wish("roll_1", state, verb)
        assert to is None or to in ROLLOUT_TRANSITIONS[state]


@pytest.mark.parametrize("state", RolloutState)
def test_whatever_has_not_ended_can_be_taken_back(state: RolloutState) -> None:
    to = wish("roll_1", state, "roll_back")
    moved = {RolloutState.PROMOTING, RolloutState.WATCHING, RolloutState.PROMOTED}
    ended = {RolloutState.ROLLING_BACK, RolloutState.ABORTED, RolloutState.ROLLED_BACK}
    expected = RolloutState.ROLLING_BACK if state in moved else RolloutState.ABORTED
    assert to == (None if state in ended else expected)


def test_nobody_promotes_what_no_worker_has_loaded() -> None:
    with pytest.raises(ServiceError, match="preparing"):
        wish("roll_1", RolloutState.PREPARING, "promote")


def _share(state: RolloutState, step: int) -> tuple[float, bool, int] | None:
    split = split_of("roll_1", state, step, PLAN, candidate="c", baseline="b")
    return (split.share, split.shadow, split.step) if split else None


def test_each_state_divides_as_it_should() -> None:
    assert _share(RolloutState.PREPARING, 0) is None
    assert _share(RolloutState.RUNNING, 0) == (0.1, True, 0)
    assert _share(RolloutState.RUNNING, 1) == (0.25, False, 1)
    assert _share(RolloutState.PAUSED, 1) == (0.25, False, 1)
    assert _share(RolloutState.PROMOTING, 1) == (0.25, False, 1)
    assert _share(RolloutState.WATCHING, 2) == (0.9, False, 2)
    assert _share(RolloutState.ROLLING_BACK, 2) == (0.0, False, 2)
    assert all(_share(state, 2) is None for state in ROLLOUT_ENDED)


def test_the_bare_name_is_divided_where_it_means_the_alias() -> None:
    assert names_of(PLAN) == ("helpdesk", "helpdesk@champion")
    assert names_of(msgspec.structs.replace(PLAN, alias="beta")) == ("helpdesk@beta",)


def test_the_database_guards_the_same_machine() -> None:
    written = re.findall(r"\('(\w+)', '(\w+)'\)", r0001_first._CHANGES)
    meant = {(state.value, to.value) for state, after in ROLLOUT_TRANSITIONS.items() for to in after}
    assert set(written) == meant
    assert len(written) == len(meant)
