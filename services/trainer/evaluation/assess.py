"""From recorded answers to a report: a pure function, the same for a served model and for answers of long ago."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.evaluation import EvaluationPlan, EvaluationReport, Measure, Task
from services.trainer.evaluation.answers import Answer, Answers, Side
from services.trainer.evaluation.comparison import Evidence, Pair, Point, compare, value_of
from services.trainer.evaluation.defaults import WIN_RATE
from services.trainer.evaluation.gate import judge_report
from services.trainer.evaluation.items import Item
from services.trainer.evaluation.judging import Outcomes, by_rule, win_rate
from services.trainer.evaluation.rules import rule_of
from services.trainer.evaluation.scores import Scores
from services.trainer.evaluation.scoring import score

_MOST_BASELINE_FAILURES: Final = 0.01
"""Of its answers; beyond it the baseline looks worse than it is."""


@dataclass(frozen=True)
class Material:
    """Everything that a report is made of."""

    plan: EvaluationPlan
    candidate: str
    baseline: str
    items: Mapping[str, tuple[Item, ...]]
    """By task; those that were asked."""
    answers: Answers
    outcomes: Mapping[tuple[str, float], Outcomes] = field(default_factory=dict)
    """Of a model that judged, by task and temperature."""
    perplexity: Mapping[tuple[str, Side], Scores] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Assessment:
    """A report, and the scores of single items behind it."""

    report: EvaluationReport
    pairs: Mapping[tuple[str, str, float], Pair]
    """By task, metric without task, and temperature."""


def samples_at(plan: EvaluationPlan, temperature: float) -> int:
    """How many answers an item gets; at temperature 0 all would be the same."""
    return plan.samples if temperature > 0 else 1


def given(material: Material, task: str, side: Side, temperature: float) -> list[list[Answer]]:
    """For each item of a task the answers of one side."""
    numbers = range(samples_at(material.plan, temperature))
    return [
        [material.answers.of((task, side, temperature, item.id, number)) for number in numbers]
        for item in material.items[task]
    ]


def assess(material: Material) -> Assessment:
    """Score, compare, judge."""
    plan = material.plan
    pairs: dict[tuple[str, str, float], Pair] = {}
    evidence: dict[Point, Evidence] = {}
    for task in plan.tasks:
        of_task = dict(_task_pairs(material, task))
        pairs |= {(task.name, metric, temperature): pair for (metric, temperature), pair in of_task.items()}
        named = {(f"{task.name}/{metric}", temperature): pair for (metric, temperature), pair in of_task.items()}
        evidence |= compare(material.items[task.name], named, plan.gate.confidence, plan.seed)
    failures = Counter(f"{answer.side.value}/{answer.error}" for answer in all_answers(material) if answer.error)
    report = EvaluationReport(
        candidate=material.candidate,
        baseline=material.baseline,
        plan=plan,
        values=tuple(value_of(point, found) for point, found in evidence.items() if found.items),
        verdict=judge_report(evidence, plan.gate, plan.temperatures, _trouble(material)),
        excluded={name: count for name, count in material.excluded.items() if count},
        counts={name: len(items) for name, items in material.items.items()},
        failures=dict(sorted(failures.items())),
    )
    return Assessment(report, pairs)


def has_baseline(material: Material) -> bool:
    """Whether there is anything to compare with."""
    return material.answers.has_side(Side.BASELINE)


def _task_pairs(material: Material, task: Task) -> Iterator[tuple[tuple[str, float], Pair]]:
    items = material.items[task.name]
    for temperature in material.plan.temperatures:
        ours = given(material, task.name, Side.CANDIDATE, temperature)
        theirs = given(material, task.name, Side.BASELINE, temperature) if has_baseline(material) else None
        baseline = {} if theirs is None else score(task, items, theirs)
        for metric, scores in score(task, items, ours).items():
            yield (metric, temperature), Pair(scores, baseline.get(metric))
        if theirs is not None:
            outcomes = _outcomes(material, task.name, temperature, ours, theirs)
            if outcomes:
                rates = win_rate(items, samples_at(material.plan, temperature), outcomes)
                yield (WIN_RATE, temperature), Pair(*rates)
    if (task.name, Side.CANDIDATE) in material.perplexity:
        found = material.perplexity[task.name, Side.CANDIDATE]
        yield (Measure.PERPLEXITY.value, 0.0), Pair(found, material.perplexity.get((task.name, Side.BASELINE)))


def _outcomes(
    material: Material, task: str, temperature: float, ours: Sequence[list[Answer]], theirs: Sequence[list[Answer]]
) -> Outcomes:
    judge = material.plan.judge
    if judge is None or not judge.rule:
        return material.outcomes.get((task, temperature), {})
    return by_rule(rule_of(judge.rule)[1], zip(material.items[task], ours, theirs, strict=True))


def _trouble(material: Material) -> dict[tuple[str, float], str]:
    """Where so many answers of the baseline never came that a comparison would flatter the candidate."""
    found = {}
    for task in material.plan.tasks if has_baseline(material) else ():
        for temperature in material.plan.temperatures:
            answers = [a for row in given(material, task.name, Side.BASELINE, temperature) for a in row]
            missing = sum(bool(answer.error) for answer in answers)
            if missing > _MOST_BASELINE_FAILURES * len(answers):
                found[task.name, temperature] = f"{missing} of {len(answers)} answers of the baseline never came"
    return found


def all_answers(material: Material) -> Iterator[Answer]:
    """Every answer that the plan asks for, those that never came too."""
    sides = (Side.CANDIDATE, Side.BASELINE) if has_baseline(material) else (Side.CANDIDATE,)
    for task in material.plan.tasks:
        for side in sides:
            for temperature in material.plan.temperatures:
                for row in given(material, task.name, side, temperature):
                    yield from row
