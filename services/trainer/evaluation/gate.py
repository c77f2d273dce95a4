"""The gate: says by declared rules whether a candidate is better, not worse, worse, or whether nobody can know.

A rule passes only if each of its findings does, so that each is shown needs no correction for their number
(intersection-union test, Berger 1982). That one of many is worse than allowed is said where Holm's correction leaves it
standing. What is neither shown to be good enough nor to be worse is unknown, and does not pass.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from libs.contracts.evaluation import LOWER_IS_BETTER, Finding, Gate, Measure, Outcome, Rule, Verdict
from libs.kit.errors import ServiceError
from services.trainer.evaluation.bootstrap import holm
from services.trainer.evaluation.comparison import ALL, Estimate, Evidence, Point

Trouble = Mapping[tuple[str, float], str]
"""Why nothing can be said of a task at a temperature."""
_LEAST_CONFIDENCE: Final = 0.5
_ROUNDING: Final = 1e-9
_WITHOUT_TEMPERATURE: Final = frozenset({Measure.PERPLEXITY.value})


@dataclass(frozen=True)
class _Look:
    """One finding, and how unlikely its numbers are if nothing is worse than allowed."""

    finding: Finding
    p_worse: float = 1.0


@dataclass(frozen=True)
class _Bounds:
    """An estimate turned so that larger is better, and the least it must be."""

    low: float
    high: float
    least: float
    p_worse: float


def check_gate(gate: Gate) -> None:
    """Whether the rules make sense.

    Raises:
        ServiceError: `invalid_value`, they do not; the message says which.
    """
    if not _LEAST_CONFIDENCE < gate.confidence < 1:
        raise ServiceError("invalid_value", "A gate's confidence is between 0.5 and 1.", param="gate.confidence")
    for rule in gate.rules:
        if not (math.isfinite(rule.margin) and math.isfinite(rule.slack) and rule.slack >= 0):
            raise _bad(rule, "needs a finite margin and a slack of 0 or more")
        if rule.kind in {"better", "not_worse"} and rule.margin < 0:
            raise _bad(rule, "has a negative margin; margins say how much, the kind says which way")
        if rule.kind == "at_least" and measure_of(rule.metric) in LOWER_IS_BETTER:
            raise _bad(rule, "cannot be `at_least`, for less of it is better; use `at_most_ratio`")
        if rule.kind == "at_most_ratio" and rule.margin <= 0:
            raise _bad(rule, "needs the ratio as its margin, for example 1.1")


def judge_report(
    evidence: Mapping[Point, Evidence], gate: Gate, temperatures: Sequence[float], trouble: Trouble | None = None
) -> Verdict:
    """What the gate says to everything that is known; what is missing never passes."""
    if not gate.rules:
        return Verdict(outcome=Outcome.UNKNOWN, passed=False, reason="The gate has no rules, so nothing was shown.")
    findings: list[Finding] = []
    for rule in gate.rules:
        looks = list(_looks(rule, evidence, temperatures, trouble or {}))
        findings += _corrected(looks, 1.0 - gate.confidence)
    small = _too_small(evidence, gate)
    return Verdict(
        outcome=_outcome(gate, findings),
        passed=all(finding.passed for finding in findings),
        findings=tuple(findings),
        reason=" ".join(filter(None, (_sentence(findings), small))),
    )


def measure_of(metric: str) -> str:
    """A metric's name without its task."""
    return metric.rpartition("/")[2]


def _looks(
    rule: Rule, evidence: Mapping[Point, Evidence], temperatures: Sequence[float], trouble: Trouble
) -> Iterator[_Look]:
    for temperature in _temperatures(rule, temperatures):
        groups = list(_groups(rule, evidence, temperature))
        if not groups:
            reason = f"no tag has {rule.min_items} items"
            yield _unknown(rule, Point(rule.metric, ALL, temperature), None, reason)
        for group in groups:
            point = Point(rule.metric, group, temperature)
            found = evidence.get(point)
            reason = trouble.get((rule.metric.rpartition("/")[0], temperature), "")
            yield _unknown(rule, point, found, reason) if reason else _look(rule, point, found)


def _temperatures(rule: Rule, temperatures: Sequence[float]) -> Sequence[float]:
    if measure_of(rule.metric) in _WITHOUT_TEMPERATURE:
        return (0.0,)
    return rule.temperatures or temperatures


def _groups(rule: Rule, evidence: Mapping[Point, Evidence], temperature: float) -> Iterator[str]:
    """All items, and each tag that is large enough."""
    if rule.groups != "each":
        yield ALL
    for point, found in evidence.items() if rule.groups != "all" else ():
        is_of_rule = (point.metric, point.temperature) == (rule.metric, temperature) and point.group != ALL
        if is_of_rule and found.items >= rule.min_items:
            yield point.group


def _look(rule: Rule, point: Point, found: Evidence | None) -> _Look:
    if found is None or not found.items:
        return _unknown(rule, point, None, "it was not measured")
    if found.items < rule.min_items:
        return _unknown(rule, point, found, f"{found.items} items are too few, {rule.min_items} are needed")
    estimate = _estimate(rule, found)
    if estimate is None:
        return _unknown(rule, point, found, "one side has no number")
    bounds = _bounds(rule, estimate)
    outcome, reason = _weighed(rule, bounds)
    passed = outcome in {Outcome.BETTER, Outcome.NOT_WORSE}
    finding = _finding(rule, point, found, outcome, reason)
    return _Look(msgspec.structs.replace(finding, passed=passed), bounds.p_worse)


def _estimate(rule: Rule, found: Evidence) -> Estimate | None:
    """What the rule is about."""
    if rule.kind == "at_least":
        return found.candidate
    return found.ratio if rule.kind == "at_most_ratio" else found.difference


def _bounds(rule: Rule, estimate: Estimate) -> _Bounds:
    if rule.kind == "at_least":
        return _Bounds(estimate.low, estimate.high, rule.margin, estimate.p_not_below(rule.margin))
    if rule.kind == "at_most_ratio":
        return _Bounds(-estimate.high, -estimate.low, -rule.margin, estimate.p_not_above(rule.margin))
    allowed = -rule.margin if rule.kind == "not_worse" else 0.0
    least = rule.margin if rule.kind == "better" else allowed
    if measure_of(rule.metric) in LOWER_IS_BETTER:
        return _Bounds(-estimate.high, -estimate.low, least, estimate.p_not_above(-allowed))
    return _Bounds(estimate.low, estimate.high, least, estimate.p_not_below(allowed))


def _weighed(rule: Rule, bounds: _Bounds) -> tuple[Outcome, str]:
    if rule.kind == "better":
        if bounds.low > bounds.least + _ROUNDING:
            return Outcome.BETTER, ""
        return Outcome.UNKNOWN, "it is not shown to be better"
    if bounds.low < bounds.least - rule.slack - _ROUNDING:
        return Outcome.UNKNOWN, "the interval reaches too far beyond the margin"
    is_better = rule.kind == "not_worse" and bounds.low > _ROUNDING
    return (Outcome.BETTER if is_better else Outcome.NOT_WORSE), ""


def _corrected(looks: Sequence[_Look], alpha: float) -> Iterator[Finding]:
    """The findings of one rule; those that lie beyond the margin after Holm's correction are worse."""
    adjusted = holm([look.p_worse for look in looks])
    for look, p_value in zip(looks, adjusted, strict=True):
        if p_value < alpha / 2:
            yield msgspec.structs.replace(
                look.finding, outcome=Outcome.WORSE, passed=False, reason="it is worse than allowed"
            )
        else:
            yield look.finding


def _unknown(rule: Rule, point: Point, found: Evidence | None, reason: str) -> _Look:
    return _Look(_finding(rule, point, found or Evidence(0), Outcome.UNKNOWN, reason))


def _finding(rule: Rule, point: Point, found: Evidence, outcome: Outcome, reason: str) -> Finding:
    estimate = _estimate(rule, found)
    return Finding(
        metric=rule.metric,
        kind=rule.kind,
        outcome=outcome,
        group=point.group,
        temperature=point.temperature,
        items=found.items,
        candidate=None if found.candidate is None else found.candidate.value,
        baseline=None if found.baseline is None else found.baseline.value,
        difference=None if found.difference is None else found.difference.value,
        low=None if estimate is None else estimate.low,
        high=None if estimate is None else estimate.high,
        reason=reason,
    )


def _outcome(gate: Gate, findings: Sequence[Finding]) -> Outcome:
    if any(finding.outcome is Outcome.WORSE for finding in findings):
        return Outcome.WORSE
    if not all(finding.passed for finding in findings):
        return Outcome.UNKNOWN
    return Outcome.BETTER if any(rule.kind == "better" for rule in gate.rules) else Outcome.NOT_WORSE


def _sentence(findings: Sequence[Finding]) -> str:
    failed = [finding for finding in findings if not finding.passed]
    if not failed:
        return f"All {len(findings)} findings hold."
    first = min(failed, key=lambda finding: finding.outcome is not Outcome.WORSE)
    more = f" and {len(failed) - 1} more of {len(findings)} findings" if len(failed) > 1 else ""
    where = f" in {first.group!r}" if first.group else ""
    return f"Held back by {first.metric}{where} at temperature {first.temperature:g} ({first.reason}){more}."


def _too_small(evidence: Mapping[Point, Evidence], gate: Gate) -> str:
    """Names the groups that no rule could look at."""
    names = {
        f"{point.group} ({found.items})": None
        for rule in gate.rules
        if rule.groups != "all"
        for point, found in evidence.items()
        if point.metric == rule.metric and point.group != ALL and 0 < found.items < rule.min_items
    }
    return f"Too small to be looked at alone: {', '.join(sorted(names))}." if names else ""


def _bad(rule: Rule, what: str) -> ServiceError:
    return ServiceError("invalid_value", f"The rule for {rule.metric} {what}.", param="gate.rules")
