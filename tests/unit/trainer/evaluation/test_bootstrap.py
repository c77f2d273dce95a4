"""Intervals beside scipy's, their coverage, clusters, and Holm's correction with values worked out by hand."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped] # it ships no types

from services.trainer.evaluation.bootstrap import Resampled, Resampling, cluster_numbers, holm, none_of
from services.trainer.evaluation.scores import F64, ratio


def _mean(values: F64, seed: int = 0, clusters: list[int] | None = None, resamples: int = 2_000) -> Resampled:
    columns = np.stack([values, np.ones(len(values))], axis=1)
    numbers = np.arange(len(values)) if clusters is None else np.array(clusters)
    draws, left_out = Resampling(numbers, seed, resamples).sums(columns)
    return Resampled(float(values.mean()), ratio(draws), ratio(left_out))


@pytest.mark.parametrize("draw", ["normal", "exponential", "rare"])
def test_intervals_are_those_of_scipy(draw: str) -> None:
    rng = np.random.default_rng(5)
    values = {
        "normal": rng.normal(3, 1, 80),
        "exponential": rng.exponential(1, 80),
        "rare": (rng.random(200) < 0.04).astype(float),
    }[draw]
    found = _mean(values, resamples=20_000).interval(0.95)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    spread = values.std() / np.sqrt(len(values))
    assert found == pytest.approx((expected.low, expected.high), abs=0.08 * spread)


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert _mean(values).interval(0.95) == _mean(values).interval(0.95)
    assert _mean(values).interval(0.95) != _mean(values, seed=1).interval(0.95)


def test_blocks_of_resamples_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    whole = _mean(values).draws
    monkeypatch.setattr("services.trainer.evaluation.bootstrap._BLOCK_NUMBERS", 50 * 7)
    assert np.allclose(whole, _mean(values).draws, rtol=1e-12, atol=0)


def test_items_that_go_wrong_together_say_less() -> None:
    values = np.repeat(np.random.default_rng(3).random(20) < 0.5, 10).astype(float)
    alone = _mean(values).interval(0.95)
    together = _mean(values, clusters=[n // 10 for n in range(200)]).interval(0.95)
    assert alone is not None
    assert together is not None
    assert (together[1] - together[0]) > 2 * (alone[1] - alone[0])


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(300):
        found = _mean(np.random.default_rng(seed).exponential(1, 60), seed, resamples=500).interval(0.9)
        assert found is not None
        hits += found[0] <= 1 <= found[1]
    assert 0.84 <= hits / 300 <= 0.95


def test_what_cannot_be_known_has_no_interval() -> None:
    nothing = np.full(100, np.nan)
    assert Resampled(0.5, nothing, nothing).interval(0.95) is None
    assert Resampled(float("nan"), np.zeros(100), np.zeros(5)).interval(0.95) is None
    draws, left_out = Resampling(np.zeros(0, np.int64), 0).sums(np.zeros((0, 2)))
    assert Resampled(float("nan"), ratio(draws), ratio(left_out)).interval(0.95) is None


def test_none_of_n_is_the_exact_bound() -> None:
    for items in (1, 20, 300):
        exact = stats.binomtest(0, items).proportion_ci(0.95, method="exact").high
        assert none_of(items, 0.95) == pytest.approx(exact)
    assert none_of(0, 0.95) == 1


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .06 (never falling).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


def test_p_values_count_resamples_and_go_on_beyond_them() -> None:
    draws = np.linspace(-1, 0, 1_000)
    found = Resampled(-0.5, draws, draws)
    assert found.p_not_below(-0.1) == pytest.approx(0.1, abs=0.005)
    assert found.p_not_above(-0.9) == pytest.approx(0.1, abs=0.005)
    assert found.p_not_below(2.0) < 1e-6


def test_clusters_are_numbered_in_order_of_appearance() -> None:
    kept = np.array([True, False, True, True])
    assert cluster_numbers(["b", "x", "a", "b"], kept).tolist() == [0, 1, 0]
