"""What one look at a rollout comes to, and how simulated rollouts end."""

from dataclasses import replace

import msgspec
import pytest

from libs.contracts.rollouts import Guard, RolloutPlan, Step
from libs.testkit.simulated_rollouts import GOOD, TOPICS, roll_out
from services.rollout.domain.deciding import decide, stand_by, watch
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts

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
    evidence = _evidence(Counts(), Counts(270, 10))
    assert decide(PLAN, 0, 1.0, evidence).action == "wait", "its first answers may still come"
    silent = decide(PLAN, 0, 30.0, evidence)
    assert silent.action == "abort"
    assert "Nothing is heard" in silent.reason
    few = replace(evidence, units=dict.fromkeys(Guard, 4))
    assert decide(PLAN, 0, 30.0, few).action == "wait", "four users may all belong to the last good version"
    many = replace(_evidence(Counts(50, 2), Counts(450, 18)), units=dict.fromkeys(Guard, 400))
    slow = replace(many, guards={**many.guards, Guard.SLOW_TOKEN: [Arms(Counts(), Counts())]})
    assert decide(PLAN, 0, 30.0, slow).action == "wait", "what is not counted of either is not silent"


def test_a_mirrored_request_may_wait_for_long() -> None:
    plan = msgspec.structs.replace(PLAN, steps=(msgspec.structs.replace(PLAN.steps[0], shadow=True), *PLAN.steps[1:]))
    evidence = _evidence(Counts(), Counts(900, 10))
    assert decide(plan, 0, 599.0, evidence).action == "wait"
    assert decide(plan, 0, 600.0, evidence).action == "abort"


def test_a_paused_one_takes_no_step_and_harm_still_ends_it() -> None:
    fine = _evidence(Counts(500, 25), Counts(4_500, 225))
    assert decide(PLAN, 0, 700.0, fine).action == "advance"
    assert stand_by(PLAN, 0, 700.0, fine).action == "wait"
    assert stand_by(PLAN, 0, 700.0, _evidence(Counts(3, 0), Counts(27, 1))).action == "wait", "nothing is missing yet"
    assert stand_by(PLAN, 0, 700.0, _evidence(Counts(), Counts(270, 10))).action == "abort"
    assert stand_by(PLAN, 0, 1.0, _evidence(Counts(30, 25), Counts(270, 10))).action == "abort"


def test_a_promoted_one_is_taken_back_for_harm_and_silence_alone() -> None:
    plan = msgspec.structs.replace(PLAN, watch_s=100.0, holdback=0.1)
    nothing = _evidence(Counts(), Counts())
    assert watch(plan, 99.0, nothing).action == "wait"
    assert watch(plan, 100.0, nothing).action == "promote"
    assert watch(plan, 1.0, _evidence(Counts(270, 225), Counts(30, 1))).action == "abort"
    silent = _evidence(Counts(), Counts(30, 1))
    assert watch(plan, 1.0, silent).action == "wait"
    assert watch(plan, 50.0, silent).action == "abort"


def test_a_decision_fits_into_a_message_however_many_tags_there_are() -> None:
    arms = [Arms(Counts(30, 0), Counts(30, 0))]
    tags = {f"tag-{number}": arms for number in range(300)} | {"bad": [Arms(Counts(90, 90), Counts(90, 0))]}
    decided = decide(PLAN, 0, 60.0, Evidence({Guard.ERROR: arms, Guard.DISAPPROVAL: arms}, tags))
    assert decided.action == "abort"
    assert len(decided.findings) < 30
    assert [one.tag for one in decided.findings if one.harm] == ["bad"]


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
