"""Always-valid comparison of two shares: looking after every answer does not raise the rate of false alarms.

Each arm is a stream of yes-or-no outcomes with an unknown share of `bad`. For a hypothesis about the two shares the
evidence against it is the likelihood under a mixture of all shares (Jeffreys' prior on each arm) divided by the largest
likelihood under the hypothesis. For every pair of shares that the hypothesis allows this is at most a non-negative
martingale that begins at 1, in whatever order the arms are sampled, so it exceeds 1/alpha with probability alpha at
most, ever (Ville's inequality; the method of mixtures: Robbins 1970, doi:10.1214/aoms/1177696786; with a maximised
denominator: Wasserman, Ramdas, Balakrishnan 2020, arXiv:1912.11436). Evidence of *strata*, times in which the traffic
was divided differently, is multiplied: what changed between them is not taken for a difference between the arms.

Harm may begin with any stratum, and what spoke for the candidate before must not outweigh it: its evidence is a
mixture of those that begin with the first, the second, … stratum, with weights that add up to 1. Each of them begins
at 1 and is at most such a martingale, so the mixture is, too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_PRIOR: Final = 0.5
"""Jeffreys' prior, Beta(1/2, 1/2): costs about half the logarithm of the count, whatever the share."""
_LOG_PRIOR: Final = 2 * math.lgamma(_PRIOR) - math.lgamma(2 * _PRIOR)
_HALVINGS: Final = 40
_TINY: Final = 1e-300
_INTERVAL_HALVINGS: Final = 30


@dataclass(frozen=True)
class Counts:
    """Outcomes of one arm so far."""

    total: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} of {self.total} outcomes cannot be bad.")

    @property
    def share(self) -> float | None:
        """Of bad outcomes; None before the first outcome."""
        return self.bad / self.total if self.total else None


@dataclass(frozen=True)
class Arms:
    """Outcomes of both versions in one stratum."""

    candidate: Counts
    baseline: Counts


def log_evidence_worse(strata: Sequence[Arms], margin: float = 0.0) -> float:
    """Natural logarithm of the evidence against "the candidate's share is at most the baseline's plus `margin`".

    It is also evidence of a difference that began with one of the later strata.
    """
    return _since_any([_log_evidence(arms.candidate, arms.baseline, margin) for arms in strata])


def log_evidence_not_worse(strata: Sequence[Arms], margin: float = 0.0) -> float:
    """Natural logarithm of the evidence against "the candidate's share is at least the baseline's plus `margin`".

    All strata speak with one voice: what a candidate was at first counts as much as what it is by now.
    """
    return sum(_log_evidence_turned(strata, margin))


def interval(strata: Sequence[Arms], alpha: float) -> tuple[float, float]:
    """Bounds of the difference of shares, candidate minus baseline; they hold at every look with 1 - `alpha`.

    Where strata contradict each other no difference is left, and the bounds cross.
    """
    enough = math.log(2 / alpha)
    low = _last_margin(lambda margin: log_evidence_worse(strata, margin) >= enough)
    high = -_last_margin(lambda margin: _since_any(_log_evidence_turned(strata, -margin)) >= enough)
    return low, high


def _since_any(logs: Sequence[float]) -> float:
    """Logarithm of the mixture of products that begin with each factor, the j-th with weight 1/(j(j+1))."""
    product, terms = 0.0, [-math.log(len(logs) + 1)]
    for number in range(len(logs), 0, -1):
        product += logs[number - 1]
        terms.append(product - math.log(number * (number + 1)))
    largest = max(terms)
    if math.isinf(largest):
        return largest
    return largest + math.log(sum(math.exp(term - largest) for term in terms))


def _log_evidence_turned(strata: Sequence[Arms], margin: float) -> list[float]:
    return [_log_evidence(_good(arms.candidate), _good(arms.baseline), -margin) for arms in strata]


def _last_margin(excluded: Callable[[float], bool]) -> float:
    """The largest margin from -1 to 1 that is still excluded, where smaller ones are too; -1 if none is."""
    low, high = -1.0, 1.0
    if not excluded(low + 1e-9):
        return low
    for _ in range(_INTERVAL_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if excluded(middle) else (low, middle)
    return low


def _good(counts: Counts) -> Counts:
    """The same outcomes with good and bad exchanged."""
    return Counts(counts.total, counts.total - counts.bad)


def _log_evidence(candidate: Counts, baseline: Counts, margin: float) -> float:
    return _log_mixture(candidate) + _log_mixture(baseline) - _log_most_likely(candidate, baseline, margin)


def _log_mixture(counts: Counts) -> float:
    good = counts.total - counts.bad
    top = math.lgamma(counts.bad + _PRIOR) + math.lgamma(good + _PRIOR) - math.lgamma(counts.total + 2 * _PRIOR)
    return top - _LOG_PRIOR


def _log_most_likely(candidate: Counts, baseline: Counts, margin: float) -> float:
    """The largest log-likelihood of both arms with the candidate's share at most the baseline's plus `margin`."""
    # An arm without outcomes agrees with anything.
    if (candidate.share or 0.0) <= (1.0 if baseline.share is None else baseline.share) + margin:
        return _log_likelihood(candidate, candidate.share or 0.0) + _log_likelihood(baseline, baseline.share or 0.0)
    # Along the edge of what is allowed the likelihood is concave in the baseline's share.
    low, high = max(0.0, -margin), min(1.0, 1.0 - margin)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = _slope(baseline, middle) + _slope(candidate, min(1.0, middle + margin)) > 0
        low, high = (middle, high) if rising else (low, middle)
    share = (low + high) / 2
    return _log_likelihood(baseline, share) + _log_likelihood(candidate, min(1.0, share + margin))


def _log_likelihood(counts: Counts, share: float) -> float:
    good = counts.total - counts.bad
    return _times_log(counts.bad, share) + _times_log(good, 1.0 - share)


def _times_log(count: int, share: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _slope(counts: Counts, share: float) -> float:
    """Of the log-likelihood, at a `share` strictly between 0 and 1."""
    return counts.bad / max(share, _TINY) - (counts.total - counts.bad) / max(1.0 - share, _TINY)
