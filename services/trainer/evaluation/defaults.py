"""The gate of a plan that declares none: for chat models that are to become better without losing what they know."""

from collections.abc import Iterator, Mapping
from typing import Final

from libs.contracts.evaluation import EvaluationPlan, Gate, Measure, Rule, Task
from services.trainer.evaluation.rules import rule_of

WIN_RATE: Final = "win_rate"

_LOST: Final = 0.01
_LOST_SLACK: Final = 0.04
_LOST_IN_TAG: Final = 0.05
_LOST_IN_TAG_SLACK: Final = 0.20
_MOST_PERPLEXITY: Final = 1.1
_LIKENESS: Final = frozenset({Measure.TOKEN_F1, Measure.BLEU, Measure.ROUGE_L})
_LIKENESS_LOST: Final = 0.02


def default_gate(plan: EvaluationPlan, is_tagged: Mapping[str, bool]) -> Gate:
    """Preferred by its interval where there is a judge; nothing lost; no tag lost; perplexity at most 1.1 times.

    Args:
        plan: what is measured.
        is_tagged: by task, whether its items have tags; without, there are no groups to look at.
    """
    rules = []
    for task in plan.tasks:
        rules += list(_task_rules(task, tagged=is_tagged.get(task.name, False)))
        if plan.judge is not None:
            rules.append(Rule(metric=f"{task.name}/{WIN_RATE}", kind="better"))
    return Gate(rules=tuple(rules))


def _task_rules(task: Task, *, tagged: bool) -> Iterator[Rule]:
    for measure in dict.fromkeys(task.measures):
        metric = f"{task.name}/{measure.value}"
        if measure is Measure.PERPLEXITY:
            yield Rule(metric=metric, kind="at_most_ratio", margin=_MOST_PERPLEXITY)
        elif measure in _LIKENESS:
            # Likeness to a reference moves with the manner, so only the whole is looked at.
            yield Rule(metric=metric, kind="not_worse", margin=_LIKENESS_LOST, slack=_LOST_SLACK)
        elif measure is Measure.EXACT_MATCH:
            yield from _kept(metric, tagged=tagged)
        elif measure is Measure.CLASSIFICATION:
            yield from _kept(f"{task.name}/accuracy", tagged=tagged)
    for declared in task.rules:
        yield from _kept(f"{task.name}/{rule_of(declared)[0]}", tagged=tagged)


def _kept(metric: str, *, tagged: bool) -> Iterator[Rule]:
    yield Rule(metric=metric, kind="not_worse", margin=_LOST, slack=_LOST_SLACK)
    if tagged:
        yield Rule(metric=metric, kind="not_worse", margin=_LOST_IN_TAG, slack=_LOST_IN_TAG_SLACK, groups="each")
