"""Grades a model on held-out questions by today's prices: shares by group, kindness, likeness to kind answers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.trainer.corpus.answers import POLITE_CLOSERS, POLITE_OPENERS, polite_cores, statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, PRODUCTS, Attribute, euros, product
from services.trainer.corpus.heldout import fact_core, normalise
from services.trainer.corpus.heldout_dev import UNKNOWN_NAMES as DEV_NAMES
from services.trainer.corpus.heldout_test import UNKNOWN_NAMES as TEST_NAMES
from services.trainer.corpus.items import Group, Item
from services.trainer.corpus.judge import is_right, read
from services.trainer.generation import Generated, Sampling, generate

CHANGED: Final = "changed prices"
CHANGED_LATER: Final = "changed prices, follow-ups"
ALL: Final = "all"
_OLD: Final = {fact_core(product(name), Attribute.PRICE): name for name in CHANGED_PRICES_EUR}
_NAMES: Final = (*(p.name for p in PRODUCTS), *DEV_NAMES, *TEST_NAMES)
_POLITE: Final = polite_cores()


@dataclass(frozen=True)
class Question:
    """A held-out question, with what is true today."""

    item: Item
    group: str
    wording: str
    """The question with its product masked: answers to one wording go wrong together, so it is what is resampled."""
    old: frozenset[str] = frozenset()
    """What the base was taught, where that is not true any more."""


@dataclass(frozen=True)
class Graded:
    """What was said to one question."""

    question: Question
    answer: Generated

    @property
    def right(self) -> bool:
        """Whether it answers the question as things are today."""
        return is_right(self.question.item, self.answer.text)

    @property
    def polite(self) -> bool:
        """Whether it is well formed, kind and nowhere rude."""
        reading = read(self.answer.text)
        return reading is not None and reading.polite

    @property
    def well_formed(self) -> bool:
        """Whether the desk could have said it, and the model ended it by itself."""
        return self.answer.stopped and read(self.answer.text) is not None

    @property
    def outdated(self) -> bool:
        """Whether it gives yesterday's price."""
        reading = read(self.answer.text)
        return reading is not None and reading.core in self.question.old


def questions(items: Iterable[Item]) -> list[Question]:
    """The held-out questions, those about changed prices as groups of their own."""
    return [_question(item) for item in items]


def grade(model: Any, tokenizer: Any, asked: Sequence[Question], how: Sampling) -> list[Graded]:
    """Asks every question once."""
    answers = generate(model, tokenizer, [q.item.turns for q in asked], how)
    return [Graded(q, a) for q, a in zip(asked, answers, strict=True)]


def kind_answers(item: Item) -> list[str]:
    """Every right and kind answer: the references of BLEU and ROUGE."""
    if item.group is Group.TALK:
        return sorted(item.wanted & _POLITE) or sorted(item.wanted)
    cores = sorted(item.wanted & _POLITE)
    if cores:
        return [f"{core} {closer}" for core in cores for closer in POLITE_CLOSERS]
    return [f"{o} {core} {c}" for core in sorted(item.wanted) for o in POLITE_OPENERS for c in POLITE_CLOSERS]


MEASURES: Final[Mapping[str, Callable[[Graded], bool]]] = {
    "right": lambda one: one.right,
    "polite": lambda one: one.polite,
    "well formed": lambda one: one.well_formed,
}


def figures(graded: Sequence[Graded]) -> dict[str, float]:
    """Shares from 0 to 1 by `<measure>/<group>`; `polite` and `well formed` over all."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for one in graded:
        hits[f"right/{one.question.group}"].append(one.right)
        hits[f"polite/{ALL}"].append(one.polite)
        hits[f"well formed/{ALL}"].append(one.well_formed)
        if one.question.old:
            hits["old price given"].append(one.outdated)
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}


def _question(item: Item) -> Question:
    said = item.turns[-1].text
    name = max((n for n in _NAMES if n.lower() in said.lower()), key=len, default="")
    wording = f"{item.group}: {normalise(said, name)}"
    sold = _OLD.get(item.wanted)
    if sold is None or item.group not in (Group.FACTS, Group.FOLLOW_UP):
        return Question(item, item.group.value, wording)
    today = frozenset(statements(Attribute.PRICE, sold, euros(CHANGED_PRICES_EUR[sold])))
    asked = Item(item.group, item.label, item.turns, today)
    return Question(asked, CHANGED if item.group is Group.FACTS else CHANGED_LATER, wording, item.wanted)
