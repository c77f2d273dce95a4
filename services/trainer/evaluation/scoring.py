"""Scores the answers of one side to one task at one temperature, by every measure and rule of the task."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from libs.contracts.evaluation import Measure, Task
from services.trainer.evaluation import texts
from services.trainer.evaluation.answers import Answer
from services.trainer.evaluation.items import Item
from services.trainer.evaluation.rules import AnswerRule, rule_of
from services.trainer.evaluation.scores import F64, Confusion, Scores, bleu, mean

Given = Sequence[Sequence[Answer]]
"""For each item its answers, one per sample."""

_TEXT_MEASURES: Final[dict[Measure, Callable[[str, Sequence[str]], float]]] = {
    Measure.EXACT_MATCH: texts.exact_match,
    Measure.TOKEN_F1: texts.token_f1,
    Measure.ROUGE_L: texts.rouge_l,
}
_TIMES: Final[dict[Measure, Callable[[Answer], float | None]]] = {
    Measure.LATENCY_MS: lambda answer: answer.latency_ms,
    Measure.FIRST_TOKEN_MS: lambda answer: answer.first_token_ms,
}


def score(task: Task, items: Sequence[Item], given: Given) -> dict[str, Scores]:
    """Scores by metric, without the task's name; perplexity and win rate are not of answers and come from elsewhere.

    Raises:
        ServiceError: `invalid_value`, a rule is unknown.
    """
    found: dict[str, Scores] = {}
    for measure in dict.fromkeys(task.measures):
        found.update(_measured(measure, items, given))
    for declared in task.rules:
        name, rule = rule_of(declared)
        found[name] = _by_rule(rule, items, given)
    return found


def _measured(measure: Measure, items: Sequence[Item], given: Given) -> Iterator[tuple[str, Scores]]:
    if measure in _TEXT_MEASURES:
        yield measure.value, _by_text(_TEXT_MEASURES[measure], items, given)
    elif measure in _TIMES:
        yield measure.value, _by_time(_TIMES[measure], given)
    elif measure is Measure.BLEU:
        yield measure.value, _bleu(items, given)
    elif measure is Measure.CLASSIFICATION:
        yield from _classified(items, given)


def _by_text(how: Callable[[str, Sequence[str]], float], items: Sequence[Item], given: Given) -> Scores:
    points, counts = np.zeros(len(items)), np.zeros(len(items))
    for at, (item, answers) in enumerate(zip(items, given, strict=True)):
        if item.references:
            points[at] = sum(how(answer.text, item.references) for answer in answers if not answer.error)
            counts[at] = len(answers)
    return mean(points, counts)


def _by_time(how: Callable[[Answer], float | None], given: Given) -> Scores:
    times = [
        [value for answer in answers if (value := how(answer)) is not None and math.isfinite(value)]
        for answers in given
    ]
    return mean(
        np.array([sum(values) for values in times], np.float64),
        np.array([len(values) for values in times], np.float64),
        is_share=False,
    )


def _by_rule(rule: AnswerRule, items: Sequence[Item], given: Given) -> Scores:
    points, counts = np.zeros(len(items)), np.zeros(len(items))
    for at, (item, answers) in enumerate(zip(items, given, strict=True)):
        said = [rule(item, answer) for answer in answers]
        if None not in said:
            points[at] = sum(bool(yes) and not a.error for yes, a in zip(said, answers, strict=True))
            counts[at] = len(answers)
    return mean(points, counts)


def _bleu(items: Sequence[Item], given: Given) -> Scores:
    columns = np.zeros((len(items), texts.BLEU_COLUMNS))
    for at, (item, answers) in enumerate(zip(items, given, strict=True)):
        if item.references:
            columns[at] = sum(np.array(texts.bleu_counts(answer.text, item.references)) for answer in answers)
    present = np.array([bool(item.references) and bool(answers) for item, answers in zip(items, given, strict=True)])
    return Scores(columns, present, bleu)


def _classified(items: Sequence[Item], given: Given) -> Iterator[tuple[str, Scores]]:
    labels = list(dict.fromkeys(item.references[0] for item in items if item.references))
    place = {label: at for at, label in enumerate(labels)}
    confusion = Confusion(len(labels))
    columns = np.zeros((len(items), 3 * len(labels) + 2))
    for at, (item, answers) in enumerate(zip(items, given, strict=True)):
        for answer in answers if item.references else ():
            _count(columns[at], place, item, "" if answer.error else answer.text)
    present = columns[:, -1] > 0
    for name in ("accuracy", "precision", "recall", "f1"):
        yield name, Scores(columns, present, getattr(confusion, name))


def _count(row: F64, place: dict[str, int], item: Item, text: str) -> None:
    """Enter one answer into the sums that `Confusion` reads."""
    said = texts.label_of(text, item.labels or list(place))
    wanted, count = item.references[0], len(place)
    row[place[wanted]] += said == wanted
    if said in place:
        row[count + place[said]] += 1
    row[2 * count + place[wanted]] += 1
    row[-2] += said == wanted
    row[-1] += 1
