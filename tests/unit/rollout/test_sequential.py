"""The comparison of two shares: exact in small cases, steady under endless looks, and not blind."""

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.kit.clock import seeded_random
from services.rollout.domain import sequential
from services.rollout.domain.sequential import Arms, Counts

COUNTS = st.integers(0, 400).flatmap(lambda total: st.builds(Counts, st.just(total), st.integers(0, total)))
ALPHA = 0.05


def log_evidence_worse(candidate: Counts, baseline: Counts, margin: float = 0.0) -> float:
    return sequential.log_evidence_worse([Arms(candidate, baseline)], margin)


def log_evidence_not_worse(candidate: Counts, baseline: Counts, margin: float = 0.0) -> float:
    return sequential.log_evidence_not_worse([Arms(candidate, baseline)], margin)


def interval(candidate: Counts, baseline: Counts, alpha: float) -> tuple[float, float]:
    return sequential.interval([Arms(candidate, baseline)], alpha)


def test_a_change_of_the_traffic_between_strata_is_no_difference_between_the_arms() -> None:
    # Few of the candidate's while all was well, many when everybody was worse off: each stratum is even.
    strata = [Arms(Counts(20, 2), Counts(380, 38)), Arms(Counts(200, 100), Counts(200, 100))]
    pooled = Arms(Counts(220, 102), Counts(580, 138))
    assert sequential.log_evidence_worse([pooled]) > math.log(1 / ALPHA)
    assert sequential.log_evidence_worse(strata) < 0


def test_nothing_seen_is_no_evidence() -> None:
    assert log_evidence_worse(Counts(), Counts()) == pytest.approx(0.0)
    assert log_evidence_not_worse(Counts(), Counts()) == pytest.approx(0.0)
    assert interval(Counts(), Counts(), ALPHA) == (-1.0, 1.0)


def test_more_bad_than_there_are_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        Counts(2, 3)


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.05])
def test_the_denominator_is_the_largest_likelihood_that_is_allowed(margin: float) -> None:
    candidate, baseline = Counts(9, 7), Counts(14, 2)
    shares = [step / 1_000 for step in range(1, 1_000)]

    def log_likelihood(counts: Counts, share: float) -> float:
        return counts.bad * math.log(share) + (counts.total - counts.bad) * math.log(1 - share)

    def log_mixture(counts: Counts) -> float:
        good = counts.total - counts.bad
        return math.log(
            math.gamma(counts.bad + 0.5) * math.gamma(good + 0.5) / math.gamma(counts.total + 1) / math.gamma(0.5) ** 2
        )

    allowed = [(c, b) for c, b in product(shares, shares) if c <= b + margin + 1e-9]
    largest = max(log_likelihood(candidate, c) + log_likelihood(baseline, b) for c, b in allowed)
    ratio = math.exp(log_mixture(candidate) + log_mixture(baseline) - largest)
    # Half of it for a difference that begins later.
    expected = math.log((ratio + 1) / 2)
    assert log_evidence_worse(candidate, baseline, margin) == pytest.approx(expected, abs=1e-3)


def test_harm_that_begins_late_is_not_outweighed_by_what_was_good_before() -> None:
    good, bad = Arms(Counts(2_000, 4), Counts(2_000, 4)), Arms(Counts(300, 30), Counts(300, 1))
    alone = sequential.log_evidence_worse([bad], 0.01)
    late = sequential.log_evidence_worse([good, good, good, bad], 0.01)
    assert alone - late == pytest.approx(math.log(4 * 5 / 2), abs=0.1), "only its weight is paid"
    assert sequential.log_evidence_worse([bad, good, good, good], 0.01) < late


def test_what_a_candidate_was_at_first_counts_when_it_is_to_be_shown_as_good() -> None:
    good, bad = Arms(Counts(900, 45), Counts(900, 45)), Arms(Counts(100, 60), Counts(100, 5))
    assert sequential.log_evidence_not_worse([good], 0.05) > 2
    assert sequential.log_evidence_not_worse([bad, good], 0.05) < 0


def test_the_weights_of_when_harm_may_begin_add_up_to_one() -> None:
    nothing = Arms(Counts(), Counts())
    for count in range(1, 9):
        assert sequential.log_evidence_worse([nothing] * count) == pytest.approx(0.0)


def test_equal_arms_in_many_steps_raise_no_more_alarms_than_promised() -> None:
    alarms = sum(_alarm_in_steps(seed, 4) for seed in range(100))
    assert alarms / 100 <= ALPHA


def _alarm_in_steps(seed: int, steps: int) -> bool:
    """Whether looking after every twentieth answer, of which the candidate has more in each step, raised an alarm."""
    rng = seeded_random(seed)
    strata: list[Arms] = []
    for step in range(steps):
        strata.append(Arms(Counts(), Counts()))
        for answer in range(1_200 // steps):
            own, other = strata[-1].candidate, strata[-1].baseline
            bad = rng.random() < 0.1
            if rng.random() < (step + 1) / (steps + 1):
                own = Counts(own.total + 1, own.bad + bad)
            else:
                other = Counts(other.total + 1, other.bad + bad)
            strata[-1] = Arms(own, other)
            if answer % 20 == 0 and sequential.log_evidence_worse(strata) >= math.log(1 / ALPHA):
                return True
    return False


@settings(deadline=None)
@given(COUNTS, COUNTS, st.floats(-0.9, 0.9), st.floats(0.0, 0.09))
def test_a_wider_margin_is_harder_to_exclude(candidate: Counts, baseline: Counts, margin: float, more: float) -> None:
    narrow = log_evidence_worse(candidate, baseline, margin)
    assert log_evidence_worse(candidate, baseline, margin + more) <= narrow + 1e-6


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_the_interval_holds_what_was_seen_and_turns_with_the_arms(candidate: Counts, baseline: Counts) -> None:
    low, high = interval(candidate, baseline, ALPHA)
    if candidate.share is not None and baseline.share is not None:
        assert low - 1e-6 <= candidate.share - baseline.share <= high + 1e-6
    turned = interval(baseline, candidate, ALPHA)
    assert turned == pytest.approx((-high, -low), abs=1e-6)


def _looks(seed: int, candidate_share: float, baseline_share: float, answers: int) -> bool:
    """Whether looking after every tenth answer ever called the candidate worse; a tenth of them are its own."""
    rng = seeded_random(seed)
    counts = {"candidate": Counts(), "baseline": Counts()}
    for answer in range(answers):
        arm, share = ("candidate", candidate_share) if rng.random() < 0.1 else ("baseline", baseline_share)
        seen = counts[arm]
        counts[arm] = Counts(seen.total + 1, seen.bad + (rng.random() < share))
        if answer % 10 == 0 and log_evidence_worse(counts["candidate"], counts["baseline"]) >= math.log(1 / ALPHA):
            return True
    return False


def test_endless_looks_at_two_equal_arms_raise_no_more_alarms_than_promised() -> None:
    alarms = sum(_looks(seed, 0.1, 0.1, 2_000) for seed in range(200))
    assert alarms / 200 <= ALPHA


def test_a_candidate_that_is_worse_is_found() -> None:
    assert all(_looks(seed, 0.4, 0.1, 2_000) for seed in range(50))


def test_enough_answers_of_the_same_quality_show_that_it_is_not_worse() -> None:
    assert log_evidence_not_worse(Counts(20_000, 2_000), Counts(20_000, 2_000), 0.03) > math.log(1 / ALPHA)
    assert log_evidence_not_worse(Counts(200, 20), Counts(200, 20), 0.03) < math.log(1 / ALPHA)
