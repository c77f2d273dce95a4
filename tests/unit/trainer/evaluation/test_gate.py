"""The gate: what each kind of rule makes of an interval, and that what is unknown never passes."""

from dataclasses import replace

import numpy as np
import pytest

from libs.contracts.evaluation import Gate, Outcome, Rule, Verdict
from libs.kit.errors import ServiceError
from services.trainer.evaluation.bootstrap import Resampled
from services.trainer.evaluation.comparison import Estimate, Evidence, Point
from services.trainer.evaluation.gate import check_gate, judge_report

BOTH = (0.0, 0.7)


def _estimate(low: float, high: float) -> Estimate:
    draws = np.random.default_rng(0).normal((low + high) / 2, (high - low) / 3.92, 2_000)
    return Estimate((low + high) / 2, low, high, Resampled((low + high) / 2, draws, draws))


def _evidence(low: float, high: float, items: int = 200) -> Evidence:
    """Evidence of which difference, ratio and the candidate's value all have this interval."""
    one = _estimate(low, high)
    return Evidence(items, one, one, one, one)


def _judge(rule: Rule, *found: tuple[float, float], groups: tuple[str, ...] = ("",)) -> Verdict:
    points = [Point(rule.metric, group, temperature) for group in groups for temperature in BOTH]
    evidence = {point: _evidence(*ends) for point, ends in zip(points, found * len(points), strict=False)}
    return judge_report(evidence, Gate(rules=(rule,)), BOTH)


BETTER = Rule(metric="t/m", kind="better", margin=0.02)
NOT_WORSE = Rule(metric="t/m", kind="not_worse", margin=0.05)
SLACK = Rule(metric="t/m", kind="not_worse", margin=0.05, slack=0.15)
AT_LEAST = Rule(metric="t/m", kind="at_least", margin=0.9)
RATIO = Rule(metric="t/perplexity", kind="at_most_ratio", margin=1.1)
LATENCY = Rule(metric="t/latency_ms", kind="not_worse", margin=50.0)


@pytest.mark.parametrize(
    ("rule", "low", "high", "outcome"),
    [
        (BETTER, 0.03, 0.09, Outcome.BETTER),
        (BETTER, 0.01, 0.09, Outcome.UNKNOWN),
        (BETTER, 0.02, 0.09, Outcome.UNKNOWN),
        (BETTER, -0.01, 0.03, Outcome.UNKNOWN),
        (BETTER, -0.09, -0.03, Outcome.WORSE),
        (NOT_WORSE, -0.05, 0.02, Outcome.NOT_WORSE),
        (NOT_WORSE, 0.01, 0.02, Outcome.NOT_WORSE),
        (NOT_WORSE, -0.06, 0.02, Outcome.UNKNOWN),
        (NOT_WORSE, -0.20, -0.08, Outcome.WORSE),
        (SLACK, -0.19, 0.10, Outcome.NOT_WORSE),
        (SLACK, -0.21, 0.10, Outcome.UNKNOWN),
        (SLACK, -0.14, -0.08, Outcome.WORSE),
        (AT_LEAST, 0.91, 0.99, Outcome.NOT_WORSE),
        (AT_LEAST, 0.88, 0.99, Outcome.UNKNOWN),
        (AT_LEAST, 0.50, 0.70, Outcome.WORSE),
        (RATIO, 0.90, 1.08, Outcome.NOT_WORSE),
        (RATIO, 0.90, 1.15, Outcome.UNKNOWN),
        (RATIO, 1.20, 1.40, Outcome.WORSE),
        (LATENCY, -100.0, 40.0, Outcome.NOT_WORSE),
        (LATENCY, 20.0, 60.0, Outcome.UNKNOWN),
        (LATENCY, 80.0, 120.0, Outcome.WORSE),
    ],
)
def test_what_a_rule_makes_of_an_interval(rule: Rule, low: float, high: float, outcome: Outcome) -> None:
    verdict = _judge(rule, (low, high))
    assert verdict.outcome is outcome
    assert verdict.passed is (outcome in {Outcome.BETTER, Outcome.NOT_WORSE})
    assert all(finding.passed is verdict.passed for finding in verdict.findings)


def test_one_bad_temperature_holds_the_candidate_back() -> None:
    verdict = _judge(AT_LEAST, (0.95, 0.99), (0.70, 0.75))
    assert verdict.outcome is Outcome.WORSE
    assert [finding.passed for finding in verdict.findings] == [True, False]
    assert "t/m at temperature 0.7 (it is worse than allowed)" in verdict.reason


def test_a_rule_may_name_its_temperatures_and_one_that_was_not_measured_is_unknown() -> None:
    assert _judge(replace_rule(AT_LEAST, temperatures=(0.0,)), (0.95, 0.99), (0.7, 0.75)).passed
    missing = _judge(replace_rule(AT_LEAST, temperatures=(1.0,)), (0.95, 0.99))
    assert (missing.outcome, missing.passed) == (Outcome.UNKNOWN, False)
    assert missing.findings[0].reason == "it was not measured"


def replace_rule(rule: Rule, **changes: object) -> Rule:
    return Rule(**({name: getattr(rule, name) for name in rule.__struct_fields__} | changes))


def test_one_bad_group_holds_the_candidate_back_and_is_named() -> None:
    rule = replace_rule(SLACK, groups="each")
    points = {Point("t/m", group, t): _evidence(-0.02, 0.02) for group in ("", "a", "b") for t in BOTH}
    bad = points | {Point("t/m", "b", 0.7): _evidence(-0.9, -0.5)}
    assert judge_report(points, Gate(rules=(rule,)), BOTH).passed
    verdict = judge_report(bad, Gate(rules=(rule,)), BOTH)
    assert (verdict.outcome, verdict.passed) == (Outcome.WORSE, False)
    assert "'b'" in verdict.reason
    assert judge_report(bad, Gate(rules=(replace_rule(SLACK, groups="all"),)), BOTH).passed


def test_small_groups_are_left_out_and_named() -> None:
    rule = replace_rule(SLACK, groups="both")
    found = {Point("t/m", "", t): _evidence(-0.02, 0.02) for t in BOTH}
    found |= {Point("t/m", "tiny", t): _evidence(-0.9, -0.5, items=29) for t in BOTH}
    verdict = judge_report(found, Gate(rules=(rule,)), BOTH)
    assert verdict.passed
    assert "tiny (29)" in verdict.reason
    assert {finding.group for finding in verdict.findings} == {""}


def test_a_rule_about_groups_where_there_are_none_is_unknown() -> None:
    verdict = _judge(replace_rule(SLACK, groups="each"), (-0.01, 0.01))
    assert (verdict.outcome, verdict.passed) == (Outcome.UNKNOWN, False)
    assert verdict.findings[0].reason == "no tag has 30 items"


@pytest.mark.parametrize("kind", ["better", "not_worse", "at_least", "at_most_ratio"])
def test_what_is_missing_never_passes(kind: str) -> None:
    rule = Rule(metric="t/m", kind=kind, margin=1.5 if kind == "at_most_ratio" else 0.5)  # type: ignore[arg-type]
    gate = Gate(rules=(rule,))
    nothing: list[dict[Point, Evidence]] = [
        {},
        {Point("t/m", "", t): Evidence(0) for t in BOTH},
        {Point("t/m", "", t): Evidence(500) for t in BOTH},
        {Point("t/m", "", 0.0): _evidence(0.9, 0.95)},
        {Point("t/m", "", t): _evidence(0.9, 0.95, items=29) for t in BOTH},
        {Point("other/m", "", t): _evidence(0.9, 0.95) for t in BOTH},
    ]
    for evidence in nothing:
        verdict = judge_report(evidence, gate, BOTH)
        assert (verdict.outcome, verdict.passed) == (Outcome.UNKNOWN, False)


def test_a_gate_without_rules_passes_nothing() -> None:
    verdict = judge_report({Point("t/m", "", 0.0): _evidence(0.9, 1.0)}, Gate(), BOTH)
    assert (verdict.outcome, verdict.passed, verdict.findings) == (Outcome.UNKNOWN, False, ())


def test_a_baseline_that_did_not_answer_makes_everything_unknown() -> None:
    evidence = {Point("t/m", "", t): _evidence(0.5, 0.9) for t in BOTH}
    gate = Gate(rules=(BETTER,))
    assert judge_report(evidence, gate, BOTH).passed
    verdict = judge_report(evidence, gate, BOTH, {("t", 0.7): "9 of 9 answers of the baseline never came"})
    assert (verdict.outcome, verdict.passed) == (Outcome.UNKNOWN, False)
    assert "never came" in verdict.reason


def test_without_a_baseline_only_rules_about_numbers_can_hold() -> None:
    alone = replace(_evidence(0.95, 0.99), baseline=None, difference=None, ratio=None)
    evidence = {Point("t/m", "", t): alone for t in BOTH}
    assert judge_report(evidence, Gate(rules=(AT_LEAST,)), BOTH).passed
    assert judge_report(evidence, Gate(rules=(NOT_WORSE,)), BOTH).outcome is Outcome.UNKNOWN


def test_one_odd_group_among_many_is_not_called_worse_by_chance() -> None:
    rule = replace_rule(SLACK, groups="each", slack=1.0)
    # Just beyond the margin at 97.5 %, one-sided: alone it is worse, among forty it is what chance does.
    odd = {Point("t/m", "odd", t): _evidence(-0.27, -0.075) for t in BOTH}
    others = {Point("t/m", f"g{n}", t): _evidence(-0.1, 0.1) for n in range(40) for t in BOTH}
    assert judge_report(odd, Gate(rules=(rule,)), BOTH).outcome is Outcome.WORSE
    assert judge_report(odd | others, Gate(rules=(rule,)), BOTH).passed


def test_perplexity_is_looked_at_once_whatever_the_temperatures() -> None:
    verdict = judge_report({Point("t/perplexity", "", 0.0): _evidence(0.9, 1.0)}, Gate(rules=(RATIO,)), (0.7,))
    assert verdict.passed
    assert len(verdict.findings) == 1


def test_better_is_said_only_where_a_rule_asked_for_it() -> None:
    evidence = {Point("t/m", "", t): _evidence(0.5, 0.9) for t in BOTH}
    assert judge_report(evidence, Gate(rules=(NOT_WORSE,)), BOTH).outcome is Outcome.NOT_WORSE
    assert judge_report(evidence, Gate(rules=(NOT_WORSE, BETTER)), BOTH).outcome is Outcome.BETTER


@pytest.mark.parametrize(
    "gate",
    [
        Gate(confidence=1.0),
        Gate(confidence=float("nan")),
        Gate(rules=(Rule(metric="t/m", kind="not_worse", margin=-0.01),)),
        Gate(rules=(Rule(metric="t/m", kind="better", margin=float("inf")),)),
        Gate(rules=(Rule(metric="t/m", kind="not_worse", slack=-1.0),)),
        Gate(rules=(Rule(metric="t/latency_ms", kind="at_least", margin=5.0),)),
        Gate(rules=(Rule(metric="t/perplexity", kind="at_most_ratio"),)),
    ],
)
def test_rules_that_make_no_sense_are_refused(gate: Gate) -> None:
    with pytest.raises(ServiceError) as refused:
        check_gate(gate)
    assert refused.value.code == "invalid_value"
