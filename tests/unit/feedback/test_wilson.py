"""Wilson's interval against published values and its own laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feedback.domain.wilson import interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (50, 100, 0.4038315, 0.5961685)],
)
def test_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert interval(successes, trials) == pytest.approx((low, high), abs=1e-6)


def test_nothing_says_nothing() -> None:
    assert interval(0, 0) is None


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_share_lies_inside_and_more_trials_say_more(pair: tuple[int, int]) -> None:
    successes, trials = pair
    found = interval(successes, trials)
    assert found is not None
    low, high = found
    assert 0 <= low <= successes / trials <= high <= 1
    wider = interval(successes, trials)
    narrower = interval(successes * 10, trials * 10)
    assert wider is not None
    assert narrower is not None
    assert narrower[1] - narrower[0] < wider[1] - wider[0]
