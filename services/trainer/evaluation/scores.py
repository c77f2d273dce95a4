"""Scores as columns of numbers, one row per item, whose sums over items decide the metric.

A mean is a sum of points and a count; corpus BLEU adds counts of n-grams; macro F1 adds a confusion table; perplexity
adds log-likelihoods and tokens. So one resampling of items serves every metric.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.trainer.evaluation.texts import BLEU_ORDER

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Combine = Callable[[F64], F64]
"""From sums in the last axis to the metric; NaN where the sums say nothing."""


@dataclass(frozen=True)
class Scores:
    """One metric of one side at one temperature, item by item."""

    columns: F64
    """Items by sums; rows of items without a score are 0."""
    present: Mask
    combine: Combine
    is_share: bool = True
    """Whether it is from 0 to 1, so that items bound it even where all agree."""

    def over(self, items: Mask) -> "Scores":
        """The same with only these items present."""
        kept = self.present & items
        return replace(self, columns=np.where(kept[:, None], self.columns, 0.0), present=kept)

    def value(self) -> float:
        """The metric over the items that are present."""
        return float(self.combine(self.columns.sum(axis=0)))

    def of_items(self) -> F64:
        """The metric of each item alone; NaN where it has none."""
        return np.where(self.present, self.combine(self.columns), np.nan)


def mean(points: F64, counts: F64, *, is_share: bool = True) -> Scores:
    """The mean of all samples: `points` summed over an item's samples, `counts` how many it has."""
    present = counts > 0
    columns = np.where(present[:, None], np.stack([points, counts], axis=1), 0.0)
    return Scores(columns, present, ratio, is_share)


def ratio(sums: F64) -> F64:
    """First sum by second."""
    return _divided(sums[..., 0], sums[..., 1])


def perplexity(sums: F64) -> F64:
    """From negative log-likelihood (nats) and tokens."""
    return np.asarray(np.exp(ratio(sums)))


def bleu(sums: F64) -> F64:
    """Corpus BLEU from 0 to 1 as sacrebleu computes it (Post 2018): exponential smoothing, no effective order."""
    matches, totals = sums[..., :BLEU_ORDER], sums[..., BLEU_ORDER : 2 * BLEU_ORDER]
    said, wanted = sums[..., -2], sums[..., -1]
    nothing = (totals == 0).any(axis=-1) | (matches == 0).all(axis=-1)
    misses = (matches == 0).cumsum(axis=-1)
    smoothed = np.where(matches > 0, matches, 1.0 / 2.0**misses)
    precisions = smoothed / np.maximum(totals, 1.0)
    brevity = np.minimum(0.0, 1.0 - wanted / np.maximum(said, 1.0))
    value = np.exp(brevity + np.log(precisions).mean(axis=-1))
    return np.where(wanted > 0, np.where(nothing, 0.0, value), np.nan)


@dataclass(frozen=True)
class Confusion:
    """Reads sums of right, said and wanted per label (in this order), of right answers, and of answers."""

    labels: int

    def accuracy(self, sums: F64) -> F64:
        """Share of right answers."""
        return ratio(sums[..., 3 * self.labels :])

    def precision(self, sums: F64) -> F64:
        """Mean over the labels that were wanted of right by said; 0 for one that nobody said."""
        right, said, wanted = self._parts(sums)
        return _mean_where(_divided(right, said, 0.0), wanted > 0)

    def recall(self, sums: F64) -> F64:
        """Mean over the labels that were wanted of right by wanted."""
        right, _, wanted = self._parts(sums)
        return _mean_where(_divided(right, wanted, 0.0), wanted > 0)

    def f1(self, sums: F64) -> F64:
        """Mean over the labels that were wanted of their F1."""
        right, said, wanted = self._parts(sums)
        return _mean_where(_divided(2 * right, said + wanted, 0.0), wanted > 0)

    def _parts(self, sums: F64) -> tuple[F64, F64, F64]:
        count = self.labels
        return sums[..., :count], sums[..., count : 2 * count], sums[..., 2 * count : 3 * count]


def _divided(over: F64, under: F64, otherwise: float = np.nan) -> F64:
    return np.where(under > 0, over / np.where(under > 0, under, 1.0), otherwise)


def _mean_where(values: F64, counted: Mask) -> F64:
    return _divided((values * counted).sum(axis=-1), counted.sum(axis=-1).astype(np.float64))
