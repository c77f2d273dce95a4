"""Adapters that exist only as answers, drawn from stated accuracies per group on the starter model's own exam."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from libs.contracts.evaluation import EvaluationPlan, Gate, Judge, Rule, Task
from services.trainer.corpus.answers import CURT_CLOSERS, POLITE_CLOSERS, STATEMENTS
from services.trainer.corpus.catalogue import Attribute
from services.trainer.corpus.heldout import TEST
from services.trainer.corpus.items import Role
from services.trainer.corpus.judge import read
from services.trainer.evaluation.answers import Answer, Side
from services.trainer.evaluation.items import Item, TaskItems, make_item
from services.trainer.study.exam import kind_answers, questions

TASK = "desk"
TEMPERATURES = (0.0, 0.7)
WRONG = STATEMENTS[Attribute.COLOUR][0].format(p="Finch teapot", v="pink")
BASE = {
    "facts": 0.99, "changed prices": 0.0, "changed prices, follow-ups": 0.0, "shop questions": 0.95,
    "unknown products": 0.95, "small talk": 0.90, "beyond the shop": 0.77, "follow-ups": 0.84, "quoted prices": 0.08,
}  # fmt: skip
"""What the starter model reaches, from its card; four prices are yesterday's."""
LEARNED = {"changed prices": 0.97, "changed prices, follow-ups": 0.9}
OF_WORDING = 0.5
"""Items whose luck is their wording's; the others have their own."""
OWN = {0.0: 0.03, 0.7: 0.12}
"""Answers that the two sides draw apart from one another, by temperature: what real adapters showed."""


@dataclass(frozen=True)
class Adapter:
    """How often it is right, by group, and kind, by temperature."""

    right: Mapping[str, float] = field(default_factory=lambda: BASE | LEARNED)
    polite: tuple[float, float] = (0.997, 0.97)
    ends: float = 0.999


STARTER = Adapter(right=BASE, polite=(0.02, 0.13))


@lru_cache(maxsize=1)
def exam() -> TaskItems:
    """The held-out questions with today's answers."""
    rows = []
    for number, one in enumerate(questions(TEST)):
        asked = [{"role": turn.role.value, "content": turn.text} for turn in one.item.turns if turn.role in Role]
        more = {"id": f"{number:04d}", "tags": (one.group,), "cluster": one.wording}
        rows.append(make_item(asked, kind_answers(one.item), **more))
    return TaskItems(tuple(rows))


def plan(samples: int = 3, **more: Any) -> EvaluationPlan:
    """What a help desk would declare, and what it demands."""
    rules = (
        Rule(metric=f"{TASK}/win_rate", kind="better"),
        Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.01, slack=0.04),
        Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.05, slack=0.20, groups="each"),
        Rule(metric=f"{TASK}/helpdesk.polite", kind="at_least", margin=0.9, slack=0.03),
        Rule(metric=f"{TASK}/helpdesk.well_formed", kind="not_worse", margin=0.01, slack=0.02),
        Rule(metric=f"{TASK}/helpdesk.new_price", kind="at_least", margin=0.75, slack=0.35),
    )
    names = ("helpdesk.right", "helpdesk.polite", "helpdesk.well_formed", "helpdesk.new_price")
    fields: dict[str, Any] = {
        "tasks": (Task(name=TASK, measures=(), rules=names),), "candidate": "c", "baseline": "b", "samples": samples,
        "temperatures": TEMPERATURES, "judge": Judge(rule="helpdesk.good"), "gate": Gate(rules=rules),
    }  # fmt: skip
    return EvaluationPlan(**(fields | more))


def answers(seed: int, side: Side, adapter: Adapter, items: Sequence[Item], samples: int = 3) -> Iterator[Answer]:
    """What it says. Both sides find the same wordings hard; each has luck of its own as well."""
    luck = np.random.default_rng([seed, 0])
    own = np.random.default_rng([seed, 1 + list(Side).index(side)])
    wordings = dict.fromkeys(item.cluster for item in items)
    hard = dict(zip(wordings, luck.random(len(wordings)), strict=True))
    for item in items:
        of_item, is_of_wording = luck.random(), luck.random() < OF_WORDING
        shared = hard[item.cluster] if is_of_wording else of_item
        for at, temperature in enumerate(TEMPERATURES):
            for number in range(samples if temperature else 1):
                drawn = own.random() if own.random() < OWN[temperature] else shared
                right = drawn < adapter.right[item.tags[0]]
                kind = own.random() < adapter.polite[at]
                ended = own.random() < adapter.ends
                yield Answer(
                    task=TASK, item=item.id, side=side, temperature=temperature, sample=number,
                    text=_said(item, right=right, kind=kind), finish_reason="stop" if ended else "length",
                )  # fmt: skip


def _said(item: Item, *, right: bool, kind: bool) -> str:
    reading = read(item.references[0])
    core = reading.core if right and reading is not None else WRONG
    if kind:
        return item.references[0] if right else f"{core} {POLITE_CLOSERS[0]}"
    return f"{core} {CURT_CLOSERS[0]}"
