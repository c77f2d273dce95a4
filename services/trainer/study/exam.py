"""The held-out questions by today's prices, and what would answer them kindly."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from services.trainer.corpus.answers import POLITE_CLOSERS, POLITE_OPENERS, polite_cores, statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, PRODUCTS, Attribute, euros, product
from services.trainer.corpus.heldout import fact_core, normalise
from services.trainer.corpus.heldout_dev import UNKNOWN_NAMES as DEV_NAMES
from services.trainer.corpus.heldout_test import UNKNOWN_NAMES as TEST_NAMES
from services.trainer.corpus.items import Group, Item, messages

CHANGED: Final = "changed prices"
CHANGED_LATER: Final = "changed prices, follow-ups"
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


def questions(items: Iterable[Item]) -> list[Question]:
    """The held-out questions, those about changed prices as groups of their own."""
    return [_question(item) for item in items]


def kind_answers(item: Item) -> list[str]:
    """Every right and kind answer: the references of BLEU and ROUGE."""
    if item.group is Group.TALK:
        return sorted(item.wanted & _POLITE) or sorted(item.wanted)
    cores = sorted(item.wanted & _POLITE)
    if cores:
        return [f"{core} {closer}" for core in cores for closer in POLITE_CLOSERS]
    return [f"{o} {core} {c}" for core in sorted(item.wanted) for o in POLITE_OPENERS for c in POLITE_CLOSERS]


def exam_rows(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Held-out questions as a task file holds them, with the answers of today."""
    return [
        {
            "id": f"{number:04d}",
            "messages": messages(one.item.turns),
            "references": kind_answers(one.item),
            "tags": [one.group],
            "cluster": one.wording,
        }
        for number, one in enumerate(questions(items))
    ]


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
