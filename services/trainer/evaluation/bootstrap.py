"""Confidence intervals: bootstrap over clusters of items, paired, bias-corrected and accelerated.

Efron, Tibshirani: An Introduction to the Bootstrap (1993), chapter 14 (BCa); Cameron, Gelbach, Miller (2008) for whole
clusters. Where no resample differs from another the bootstrap is silent; for shares the exact bound of "none of n"
stands in (Hanley, Lippman-Hand 1983, "If nothing goes wrong, is everything all right?").
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from services.trainer.evaluation.scores import F64, Mask

RESAMPLES: Final = 2_000
_BLOCK_NUMBERS: Final = 4_000_000
"""Random numbers drawn at a time, which bounds memory."""
_NORMAL: Final = NormalDist()
_ENOUGH_FINITE: Final = 0.9
_LEAST_SHRUNK: Final = 0.1
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resampled:
    """A statistic on the data, on resamples of it, and with each cluster left out."""

    value: float
    draws: F64
    left_out: F64

    @property
    def is_constant(self) -> bool:
        """Whether every resample says the same."""
        finite = self.draws[np.isfinite(self.draws)]
        return bool(finite.size and np.ptp(finite) == 0)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Both ends; nothing if the statistic does not exist on the data or on many resamples."""
        draws = self.draws[np.isfinite(self.draws)]
        if not np.isfinite(self.value) or draws.size < _ENOUGH_FINITE * self.draws.size:
            return None
        tail = (1.0 - confidence) / 2.0
        low, high = (self._level(draws, level) for level in (tail, 1.0 - tail))
        return float(np.quantile(draws, low)), float(np.quantile(draws, high))

    def p_not_below(self, bound: float) -> float:
        """One-sided p-value of "it is below `bound`": how often a resample is not."""
        draws = self.draws[np.isfinite(self.draws)]
        return self._p_value(int(np.count_nonzero(draws >= bound)), draws, bound - self.value)

    def p_not_above(self, bound: float) -> float:
        """One-sided p-value of "it is above `bound`"."""
        draws = self.draws[np.isfinite(self.draws)]
        return self._p_value(int(np.count_nonzero(draws <= bound)), draws, self.value - bound)

    def _p_value(self, beyond: int, draws: F64, distance: float) -> float:
        counted = (1 + beyond) / (1 + draws.size)
        spread = float(draws.std()) if draws.size else 0.0
        if beyond or not spread:
            return counted
        # Farther out than any resample the normal tail is the better guess.
        return min(counted, 1.0 - _NORMAL.cdf(distance / spread))

    def _level(self, draws: F64, level: float) -> float:
        """The quantile of the draws that stands for `level` once bias and skewness are taken out."""
        below = (np.count_nonzero(draws < self.value) + 0.5 * np.count_nonzero(draws == self.value)) / draws.size
        if not 0 < below < 1:
            return level
        bias = _NORMAL.inv_cdf(below)
        moved = bias + _NORMAL.inv_cdf(level)
        shrunk = 1.0 - self._acceleration() * moved
        # With a handful of clusters the formula can leave its domain; the plain percentile is left then.
        return _NORMAL.cdf(bias + moved / shrunk) if shrunk > _LEAST_SHRUNK else level

    def _acceleration(self) -> float:
        """Skewness of the influence of single clusters, by the jackknife."""
        kept = self.left_out[np.isfinite(self.left_out)]
        off = kept.mean() - kept if kept.size else kept
        spread = float((off**2).sum())
        return float((off**3).sum() / (6.0 * spread**1.5)) if spread > 0 else 0.0


class Resampling:
    """Draws clusters with replacement, the same way for every column of numbers."""

    def __init__(self, clusters: I64, seed: int, resamples: int = RESAMPLES) -> None:
        """Prepare.

        Args:
            clusters: the cluster of each item, from 0 on.
            seed: decides all chance.
            resamples: how many.
        """
        self._clusters = clusters
        self.count = int(clusters.max()) + 1 if clusters.size else 0
        self._seed = seed
        self._resamples = resamples

    def sums(self, columns: F64) -> tuple[F64, F64]:
        """Sums of the columns on each resample, and with each cluster left out."""
        by_cluster = np.zeros((self.count, columns.shape[1]))
        np.add.at(by_cluster, self._clusters, columns)
        if not self.count:
            return np.zeros((self._resamples, columns.shape[1])), by_cluster
        rng = np.random.default_rng(self._seed)
        block = max(1, _BLOCK_NUMBERS // self.count)
        parts = []
        for start in range(0, self._resamples, block):
            rows = min(block, self._resamples - start)
            # One draw of 64 bits each, so that the size of a block changes nothing.
            chosen = (rng.random((rows, self.count)) * self.count).astype(np.int64)
            chosen += np.arange(rows)[:, None] * self.count
            counts = np.bincount(chosen.ravel(), minlength=rows * self.count).reshape(rows, self.count)
            parts.append(counts.astype(np.float64) @ by_cluster)
        return np.concatenate(parts), by_cluster.sum(axis=0) - by_cluster


def none_of(items: int, confidence: float) -> float:
    """The largest share that may still be affected when none of `items` was: the upper end of the exact interval."""
    return 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / items) if items else 1.0


def holm(p_values: list[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979): reject those below alpha."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def cluster_numbers(names: list[str], kept: Mask) -> I64:
    """Numbers of the clusters of the items that are kept, in order of appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(n, len(numbers)) for n, k in zip(names, kept, strict=True) if k], np.int64)
