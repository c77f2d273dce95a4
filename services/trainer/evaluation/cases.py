"""Picks the items that show best where candidate and baseline differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from libs.contracts.evaluation import LOWER_IS_BETTER, Measure
from services.trainer.evaluation.answers import Answer, Side
from services.trainer.evaluation.assess import Assessment, Material, samples_at
from services.trainer.evaluation.items import Item, content_text

_LOST: Final = 20
_GAINED: Final = 6
_MOST_CHARACTERS: Final = 2_000


@dataclass(frozen=True)
class Case:
    """An item where the two sides differ, with what they said."""

    task: str
    metric: str
    temperature: float
    item: Item
    ours: float
    theirs: float
    candidate: str
    baseline: str

    @property
    def question(self) -> str:
        """The dialogue that was asked, cut if it is long."""
        return _cut("\n".join(f"{m['role']}: {content_text(m.get('content'))}" for m in self.item.messages))

    @property
    def reference(self) -> str:
        """The first reference."""
        return _cut(self.item.references[0]) if self.item.references else ""


def cases(material: Material, assessment: Assessment) -> tuple[list[Case], list[Case]]:
    """The items where the candidate lost most, and those where it gained most, by each task's foremost metric."""
    found: dict[tuple[str, str, float], Case] = {}
    gap: dict[tuple[str, str, float], float] = {}
    for (task, metric, temperature), pair in assessment.pairs.items():
        both = pair.paired()
        if both.baseline is None or metric != foremost(material, task):
            continue
        ours, theirs = both.candidate.of_items(), both.baseline.of_items()
        for at in np.flatnonzero(both.candidate.present & (ours != theirs)):
            item = material.items[task][at]
            said = [_said(material, task, side, temperature, item) for side in (Side.CANDIDATE, Side.BASELINE)]
            key = (task, item.id, temperature)
            found[key] = Case(task, f"{task}/{metric}", temperature, item, float(ours[at]), float(theirs[at]), *said)
            gap[key] = float(ours[at] - theirs[at])
    order = sorted(found, key=lambda key: gap[key])
    lost = [found[key] for key in order if gap[key] < 0][:_LOST]
    return lost, [found[key] for key in order[::-1] if gap[key] > 0][:_GAINED]


def foremost(material: Material, task: str) -> str:
    """The metric that tells items apart best: the first rule, else the first measure that has points per item."""
    declared = next(one for one in material.plan.tasks if one.name == task)
    if declared.rules:
        return declared.rules[0].partition("=")[0]
    measures = [measure.value for measure in declared.measures if measure.value not in LOWER_IS_BETTER]
    names = {Measure.CLASSIFICATION.value: "accuracy"}
    return names.get(measures[0], measures[0]) if measures else ""


def _said(material: Material, task: str, side: Side, temperature: float, item: Item) -> str:
    answers: Sequence[Answer] = [
        material.answers.of((task, side, temperature, item.id, number))
        for number in range(samples_at(material.plan, temperature))
    ]
    return _cut("\n---\n".join(f"[{a.error}]" if a.error else a.text for a in answers))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " …"
