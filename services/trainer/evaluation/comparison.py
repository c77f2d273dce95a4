"""Compares the scores of two sides: values, differences and ratios with intervals, over all items and each tag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from libs.contracts.evaluation import MetricValue
from services.trainer.evaluation.bootstrap import I64, Resampled, Resampling, cluster_numbers, none_of
from services.trainer.evaluation.items import Item, digest
from services.trainer.evaluation.scores import F64, Mask, Scores

ALL: Final = ""
"""The group of all items."""
_SEED_HEX: Final = 12
_FEWEST_CLUSTERS: Final = 10
"""With fewer there is nothing to draw from; items are drawn then, and what is found holds for these wordings."""


@dataclass(frozen=True)
class Point:
    """What is measured: which metric, of which items, at which temperature."""

    metric: str
    group: str
    temperature: float


@dataclass(frozen=True)
class Estimate:
    """A number and the interval in which the truth is."""

    value: float
    low: float
    high: float
    resampled: Resampled
    silence: float = 0.0
    """What the resamples cannot tell, because all agree; the interval has it on both sides."""

    def p_not_below(self, bound: float) -> float:
        """P-value of "the truth is below `bound`"."""
        return self.resampled.p_not_below(bound - self.silence)

    def p_not_above(self, bound: float) -> float:
        """P-value of "the truth is above `bound`"."""
        return self.resampled.p_not_above(bound + self.silence)


@dataclass(frozen=True)
class Evidence:
    """What is known at one point; None where a side has nothing, or the number does not exist."""

    items: int
    candidate: Estimate | None = None
    baseline: Estimate | None = None
    difference: Estimate | None = None
    """Candidate less baseline."""
    ratio: Estimate | None = None
    """Candidate by baseline."""


@dataclass(frozen=True)
class Pair:
    """The scores of both sides on the same items."""

    candidate: Scores
    baseline: Scores | None = None

    def paired(self) -> "Pair":
        """With only those items that both sides have."""
        if self.baseline is None:
            return self
        both = self.candidate.present & self.baseline.present
        return Pair(self.candidate.over(both), self.baseline.over(both))


def compare(
    items: Sequence[Item], pairs: Mapping[tuple[str, float], Pair], confidence: float, seed: int
) -> dict[Point, Evidence]:
    """Everything that is known of a task, by metric and temperature, over all of its items and over each tag."""
    found: dict[Point, Evidence] = {}
    both = {key: pair.paired() for key, pair in pairs.items()}
    tags = dict.fromkeys(tag for item in items for tag in item.tags)
    for group in (ALL, *tags):
        members = np.array([not group or group in item.tags for item in items], dtype=np.bool_)
        of_group = {key: _narrow(pair, members) for key, pair in both.items()}
        resampling = Resampling(_units(items, members), int(digest(str(seed), group)[:_SEED_HEX], 16))
        found.update(_evidence(of_group, resampling, group, confidence))
    return found


def value_of(point: Point, evidence: Evidence) -> MetricValue:
    """One line of a report."""
    candidate, candidate_low, candidate_high = _ends(evidence.candidate)
    baseline, baseline_low, baseline_high = _ends(evidence.baseline)
    _, difference_low, difference_high = _ends(evidence.difference)
    return MetricValue(
        metric=point.metric,
        group=point.group,
        temperature=point.temperature,
        items=evidence.items,
        candidate=candidate,
        candidate_low=candidate_low,
        candidate_high=candidate_high,
        baseline=baseline,
        baseline_low=baseline_low,
        baseline_high=baseline_high,
        difference_low=difference_low,
        difference_high=difference_high,
    )


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)


def _units(items: Sequence[Item], members: Mask) -> I64:
    """What is drawn: clusters, or single items where there are too few clusters to draw from."""
    single = [f"i{item.id}" for item in items]
    clusters = [f"c{item.cluster}" if item.cluster else name for item, name in zip(items, single, strict=True)]
    numbers = cluster_numbers(clusters, members)
    if numbers.size and numbers.max() + 1 < _FEWEST_CLUSTERS:
        return cluster_numbers(single, members)
    return numbers


def _narrow(pair: Pair, members: Mask) -> Pair:
    baseline = pair.baseline
    return Pair(_rows(pair.candidate, members), None if baseline is None else _rows(baseline, members))


def _rows(scores: Scores, members: Mask) -> Scores:
    return Scores(scores.columns[members], scores.present[members], scores.combine, scores.is_share)


def _evidence(
    pairs: Mapping[tuple[str, float], Pair], resampling: Resampling, group: str, confidence: float
) -> dict[Point, Evidence]:
    """One pass of resampling for the columns of all metrics together."""
    sides = [scores for pair in pairs.values() for scores in (pair.candidate, pair.baseline) if scores is not None]
    if not sides:
        return {}
    ends = np.cumsum([scores.columns.shape[1] for scores in sides])[:-1]
    draws, left_out = (
        iter(np.split(sums, ends, axis=1)) for sums in resampling.sums(np.hstack([s.columns for s in sides]))
    )
    found = {}
    for (metric, temperature), pair in pairs.items():
        candidate = _resampled(pair.candidate, next(draws), next(left_out))
        baseline = None if pair.baseline is None else _resampled(pair.baseline, next(draws), next(left_out))
        count = int(pair.candidate.present.sum())
        shares = pair.candidate.is_share
        silence, most = (none_of(count, confidence), 1.0) if shares else (0.0, np.inf)
        least = 0.0 if shares else -np.inf
        found[Point(metric, group, temperature)] = Evidence(
            count,
            _estimate(candidate, confidence, silence, (least, most)),
            None if baseline is None else _estimate(baseline, confidence, silence, (least, most)),
            None if baseline is None else _estimate(_minus(candidate, baseline), confidence, silence, (-most, most)),
            None if baseline is None else _estimate(_by(candidate, baseline), confidence),
        )
    return found


def _resampled(scores: Scores, draws: F64, left_out: F64) -> Resampled:
    return Resampled(scores.value(), scores.combine(draws), scores.combine(left_out))


def _minus(one: Resampled, other: Resampled) -> Resampled:
    return Resampled(one.value - other.value, one.draws - other.draws, one.left_out - other.left_out)


def _by(one: Resampled, other: Resampled) -> Resampled:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(np.float64(one.value) / np.float64(other.value))
        return Resampled(value, one.draws / other.draws, one.left_out / other.left_out)


def _estimate(
    resampled: Resampled, confidence: float, silence: float = 0.0, ends: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate | None:
    """The number with its interval; where all resamples agree, `silence` is how far the truth may be on either side."""
    interval = resampled.interval(confidence)
    if interval is None:
        return None
    width = silence if resampled.is_constant else 0.0
    low, high = max(ends[0], interval[0] - width), min(ends[1], interval[1] + width)
    return Estimate(resampled.value, low, high, resampled, width)
