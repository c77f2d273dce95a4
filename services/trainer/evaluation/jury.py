"""Has a served model compare the answers of both sides: which pairs to ask about, and what came of it."""

from collections.abc import Iterable, Iterator
from typing import Final

from libs.contracts.evaluation import EvaluationPlan, Judge
from services.trainer.evaluation.answers import Answer, Side
from services.trainer.evaluation.asking import Question, seed_of
from services.trainer.evaluation.assess import Material, given
from services.trainer.evaluation.items import Item
from services.trainer.evaluation.judging import VERDICT_TOKENS, Outcomes, choice, of_both_orders, prompt, settled

_MOST_UNJUDGED: Final = 0.1
"""Of the pairs; beyond it there is no win rate, for those that were judged may be the easy ones."""
_ORDERS: Final = ("forward", "backward")
Pair = tuple[Item, Answer, Answer]


class Jury:
    """The pairs of one evaluation before one judge."""

    def __init__(self, judge: Judge, material: Material) -> None:
        self._judge = judge
        self._plan: EvaluationPlan = material.plan
        self._pairs = {
            (task.name, temperature): list(_pairs(material, task.name, temperature))
            for task in material.plan.tasks
            for temperature in material.plan.temperatures
        }

    def questions(self) -> Iterator[Question]:
        """Both orders of every pair that has something to decide."""
        for (task, _), pairs in self._pairs.items():
            for item, ours, theirs in pairs:
                if settled(ours, theirs) is None:
                    yield from self._both_orders(task, item, (ours, theirs))

    def outcomes(self, said: Iterable[Answer]) -> dict[tuple[str, float], Outcomes]:
        """By task and temperature; a task with too many pairs without a verdict is left out."""
        heard = {(a.task, a.temperature, a.item, a.sample): a for a in said}
        found: dict[tuple[str, float], Outcomes] = {}
        for (task, temperature), pairs in self._pairs.items():
            decided = {(item.id, a.sample): self._decided(heard, task, a, b) for item, a, b in pairs}
            known = {key: outcome for key, outcome in decided.items() if outcome is not None}
            if len(decided) - len(known) <= _MOST_UNJUDGED * len(decided):
                found[task, temperature] = known
        return found

    def _decided(
        self, heard: dict[tuple[str, float, str, int], Answer], task: str, ours: Answer, theirs: Answer
    ) -> float | None:
        known = settled(ours, theirs)
        if known is not None:
            return known
        forward, backward = (heard[_judging(task, o), ours.temperature, ours.item, ours.sample] for o in _ORDERS)
        if forward.error or backward.error:
            return None
        return of_both_orders(choice(forward.text), choice(backward.text))

    def _both_orders(self, task: str, item: Item, pair: tuple[Answer, Answer]) -> Iterator[Question]:
        number = pair[0].sample
        for order, (first, second) in zip(_ORDERS, (pair, pair[::-1]), strict=True):
            name = _judging(task, order)
            yield Question(
                model=self._judge.model,
                key=(name, Side.CANDIDATE, pair[0].temperature, item.id, number),
                messages=prompt(self._judge, item, first.text, second.text),
                max_tokens=VERDICT_TOKENS,
                temperature=0.0,
                seed=seed_of(self._plan.seed, name, item.id, number),
            )


def _pairs(material: Material, task: str, temperature: float) -> Iterator[Pair]:
    ours = given(material, task, Side.CANDIDATE, temperature)
    theirs = given(material, task, Side.BASELINE, temperature)
    for item, mine, others in zip(material.items[task], ours, theirs, strict=True):
        for one, other in zip(mine, others, strict=True):
            yield item, one, other


def _judging(task: str, order: str) -> str:
    """What the judge is asked about a task is a task of its own; no declared one has a slash in its name."""
    return f"{task}/judge/{order}"
