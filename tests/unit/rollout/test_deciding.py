"""What one look at a rollout comes to, and how simulated rollouts end."""

from dataclasses import replace

import pytest

from libs.contracts.rollouts import Guard, RolloutPlan, Step
from services.rollout.domain.deciding import decide
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts
from tests.unit.rollout.simulated import GOOD, TOPICS, roll_out

PLAN = RolloutPlan(
    name="shop",
    candidate="shop@2",
    steps=(Step(share=0.1, min_s=60, max_s=600, min_requests=50, min_signals=10), Step(share=0.5)),
)
FAULTS = {
    "errors": replace(GOOD, error=0.1),
    "slow": replace(GOOD, slow=0.5),
    "garbage": replace(GOOD, odd_length=0.6, disapproval=dict.fromkeys(TOPICS, 0.9)),
    "wrong on one topic": GOOD.on(("refund",), 0.9),
    "wrong on one topic, much liked on the others": replace(GOOD, disapproval=dict.fromkeys(TOPICS, 0.01)).on(
        ("refund",), 0.8
    ),
    "a little worse everywhere": replace(GOOD, disapproval=dict.fromkeys(TOPICS, 0.16)),
    "silent": replace(GOOD, answers=False),
    "never rated": replace(GOOD, is_rated=False),
    "says nothing": replace(GOOD, odd_length=1.0),
}


def _evidence(candidate: Counts, baseline: Counts) -> Evidence:
    arms = [Arms(candidate, baseline)]
    fine = [Arms(Counts(candidate.total), Counts(baseline.total))]
    return Evidence({Guard.ERROR: fine, Guard.DISAPPROVAL: arms}, {})


def test_a_step_lasts_until_all_of_its_evidence_is_there() -> None:
    few = decide(PLAN, 0, 30.0, _evidence(Counts(20, 1), Counts(180, 9)))
    assert (few.action, few.reason) == ("wait", "30 s, 30 requests")
    enough = decide(PLAN, 0, 60.0, _evidence(Counts(50, 2), Counts(450, 18)))
    assert enough.action == "advance"


def test_evidence_that_does_not_come_in_time_is_failure() -> None:
    late = decide(PLAN, 0, 600.0, _evidence(Counts(20, 1), Counts(180, 9)))
    assert late.action == "abort"
    assert "30 requests" in late.reason


def test_harm_ends_it_at_once_and_names_its_numbers() -> None:
    harm = decide(PLAN, 0, 1.0, _evidence(Counts(30, 25), Counts(270, 10)))
    assert (harm.action, harm.reason) == ("abort", "More disapproval: 25 of 30 against 10 of 270.")
    assert [one.guard for one in harm.findings if one.harm] == [Guard.DISAPPROVAL]


def test_silence_where_answers_should_be_ends_it() -> None:
    silent = decide(PLAN, 0, 1.0, _evidence(Counts(), Counts(270, 10)))
    assert silent.action == "abort"
    assert "Nothing is heard" in silent.reason


def test_promotion_needs_every_tag_that_the_last_good_version_was_judged_on() -> None:
    arms = [Arms(Counts(3_000, 150), Counts(3_000, 150))]
    tags = {"price": arms, "refund": [Arms(Counts(2, 0), Counts(40, 2))]}
    evidence = Evidence({Guard.ERROR: arms, Guard.DISAPPROVAL: arms}, tags)
    assert decide(PLAN, 1, 1_000.0, evidence).reason == "thumbs on refund"
    heard = replace(evidence, tags={"price": arms})
    assert decide(PLAN, 1, 1_000.0, heard).action == "promote"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_fault_is_taken_back(name: str, seed: int) -> None:
    assert roll_out(seed, FAULTS[name]).decision.action == "abort"


@pytest.mark.parametrize("seed", range(5))
def test_one_that_is_as_good_is_promoted(seed: int) -> None:
    assert roll_out(seed, GOOD).decision.action == "promote"


@pytest.mark.slow
def test_a_thousand_rollouts_of_the_same_version_raise_hardly_an_alarm() -> None:
    ends = [roll_out(seed, GOOD).decision for seed in range(1_000)]
    assert sum(end.action == "abort" for end in ends) <= 10
