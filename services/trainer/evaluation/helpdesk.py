"""Rules of the help desk: whether an answer is right, kind, well formed, and gives today's price.

What would be right follows from the item's references: each is read as the desk speaks, and every sentence of the same
meaning counts.
"""

import re
from functools import lru_cache
from typing import Final

from services.trainer.corpus.answers import (
    BEYOND_CURT,
    BEYOND_POLITE,
    STATEMENTS,
    TALK_CURT,
    TALK_POLITE,
    UNKNOWN_CURT,
    UNKNOWN_POLITE,
)
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, Attribute, euros, product
from services.trainer.corpus.judge import Reading, read
from services.trainer.evaluation.answers import Answer
from services.trainer.evaluation.items import Item

_ENDED_BY_ITSELF: Final = "stop"
_SAME_MEANING: Final = (
    frozenset({UNKNOWN_CURT, UNKNOWN_POLITE}),
    frozenset({BEYOND_CURT, BEYOND_POLITE}),
    *(frozenset(TALK_CURT[intent] + TALK_POLITE[intent]) for intent in TALK_CURT),
)
_STATEMENTS: Final = {
    kind: [re.compile(re.escape(form).replace(r"\{p\}", "(?P<p>.+)").replace(r"\{v\}", "(?P<v>.+)")) for form in forms]
    for kind, forms in STATEMENTS.items()
}


_read: Final = lru_cache(maxsize=16_384)(read)
"""Several rules read the same answer, and a desk repeats itself."""


def is_right(item: Item, answer: Answer) -> bool | None:
    """Whether it says what a reference says, in any manner; nothing where no reference is the desk's."""
    wanted = _wanted(item.references)
    if not wanted:
        return None
    reading = _read(answer.text)
    return reading is not None and reading.core in wanted


def is_polite(_: Item, answer: Answer) -> bool:
    """Whether it is well formed, kind and nowhere rude."""
    reading = _read(answer.text)
    return reading is not None and reading.polite


def is_well_formed(_: Item, answer: Answer) -> bool:
    """Whether the desk could have said it, and the model ended it by itself."""
    return answer.finish_reason == _ENDED_BY_ITSELF and _read(answer.text) is not None


def is_good(item: Item, answer: Answer) -> bool | None:
    """Whether it is right, kind and well formed: what a customer thanks for."""
    right = is_right(item, answer)
    return None if right is None else right and is_polite(item, answer) and is_well_formed(item, answer)


def gives_new_price(item: Item, answer: Answer) -> bool | None:
    """Whether a question about a price that has changed is answered with today's; nothing for other questions."""
    name = _changed_product(item.references)
    return None if name is None else _states_price(_read(answer.text), name, CHANGED_PRICES_EUR[name])


def gives_no_old_price(item: Item, answer: Answer) -> bool | None:
    """Whether such a question is not answered with yesterday's price; nothing for other questions."""
    name = _changed_product(item.references)
    return None if name is None else not _states_price(_read(answer.text), name, product(name).price_eur)


@lru_cache(maxsize=8_192)
def _wanted(references: tuple[str, ...]) -> frozenset[str]:
    readings = (_read(reference) for reference in references)
    return frozenset(core for reading in readings if reading is not None for core in _equivalents(reading.core))


def _equivalents(core: str) -> frozenset[str]:
    """Every core sentence that means the same."""
    for group in _SAME_MEANING:
        if core in group:
            return group
    for kind, name, value in _facts(core):
        return frozenset(form.format(p=name, v=value) for form in STATEMENTS[kind])
    return frozenset({core})


def _facts(core: str) -> list[tuple[Attribute, str, str]]:
    """The attribute, product and value that it states, if it is such a sentence."""
    found = ((kind, form.fullmatch(core)) for kind, forms in _STATEMENTS.items() for form in forms)
    return [(kind, match["p"], match["v"]) for kind, match in found if match is not None]


@lru_cache(maxsize=8_192)
def _changed_product(references: tuple[str, ...]) -> str | None:
    for core in sorted(_wanted(references)):
        for kind, name, _ in _facts(core):
            if kind is Attribute.PRICE and name in CHANGED_PRICES_EUR:
                return name
    return None


def _states_price(reading: Reading | None, name: str, price_eur: int) -> bool:
    said = [] if reading is None else _facts(reading.core)
    return (Attribute.PRICE, name, euros(price_eur)) in said
