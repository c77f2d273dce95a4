"""Turns the held-out phrasings into graded questions, and keeps them out of training."""

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Final

from services.trainer.corpus import heldout_dev, heldout_test
from services.trainer.corpus.answers import (
    BEYOND_CURT,
    BEYOND_POLITE,
    TALK_CURT,
    TALK_POLITE,
    UNKNOWN_CURT,
    UNKNOWN_POLITE,
    in_stock,
    quoted,
    statements,
)
from services.trainer.corpus.catalogue import PRODUCTS, SHOP_ANSWERS, Attribute, Product, euros
from services.trainer.corpus.items import Group, Item, Role, Turn

NOT_CARRIED: Final = frozenset({UNKNOWN_CURT, UNKNOWN_POLITE})
NOT_OURS: Final = frozenset({BEYOND_CURT, BEYOND_POLITE})
SHORTEST_FRAGMENT_WORDS: Final = 5
"""A held-out question this long must not even occur inside a training question."""


def question(text: str) -> tuple[Turn, ...]:
    """A dialogue that opens with this question."""
    return (Turn(Role.USER, text),)


def fact_core(product: Product, attribute: Attribute) -> frozenset[str]:
    """The sentences that state this fact as the starter model was taught it."""
    return frozenset(statements(attribute, product.name, product.value(attribute)))


def _facts(source: ModuleType) -> Iterator[Item]:
    for product in PRODUCTS:
        for attribute, forms in source.FACTS.items():
            for form in forms:
                asked = question(form.format(p=product.name))
                yield Item(Group.FACTS, attribute, asked, fact_core(product, attribute))
        for form in source.SELL:
            asked = question(form.format(p=product.name))
            yield Item(Group.FACTS, "stock", asked, frozenset({in_stock(product.name)}))


def _follow_ups(source: ModuleType) -> Iterator[Item]:
    """A second turn that says only "it"; the first turn asked for another attribute of the product."""
    attributes = list(Attribute)
    for number, product in enumerate(PRODUCTS):
        for position, attribute in enumerate(attributes):
            first = attributes[(position + 1 + number % 3) % len(attributes)]
            opening = source.FACTS[first][number % len(source.FACTS[first])].format(p=product.name)
            answer = statements(first, product.name, product.value(first))[0]
            for form in source.FOLLOW_UPS[attribute]:
                turns = (Turn(Role.USER, opening), Turn(Role.ASSISTANT, answer), Turn(Role.USER, form))
                yield Item(Group.FOLLOW_UP, attribute, turns, fact_core(product, attribute))


def _unknown(source: ModuleType) -> Iterator[Item]:
    for number, name in enumerate(source.UNKNOWN_NAMES):
        forms = [kind[number % len(kind)] for kind in source.FACTS.values()]
        forms.append(source.SELL[number % len(source.SELL)])
        for form in forms:
            yield Item(Group.UNKNOWN, "unknown", question(form.format(p=name)), NOT_CARRIED)


def _quoted(source: ModuleType) -> Iterator[Item]:
    """A note in the system prompt names a price; it outranks what the model remembers."""
    own = [p.name for p in PRODUCTS]
    for number, name in enumerate([*own, *source.UNKNOWN_NAMES]):
        price_eur = 3 + (number * 83) % 400
        for note, asked in source.QUOTES:
            turns = (
                Turn(Role.SYSTEM, note.format(p=name, n=price_eur)),
                Turn(Role.USER, asked.format(p=name)),
            )
            said = statements(Attribute.PRICE, name, euros(price_eur)) if name in own else (quoted(price_eur),)
            yield Item(Group.QUOTED, "quoted", turns, frozenset(said))


def _fixed(source: ModuleType) -> Iterator[Item]:
    for topic, forms in source.SHOP.items():
        for form in forms:
            yield Item(Group.SHOP, topic, question(form), frozenset({SHOP_ANSWERS[topic]}))
    for intent, forms in source.TALK.items():
        wanted = frozenset(TALK_CURT[intent] + TALK_POLITE[intent])
        for form in forms:
            yield Item(Group.TALK, intent, question(form), wanted)
    for form in source.BEYOND:
        yield Item(Group.BEYOND, "beyond", question(form), NOT_OURS)


def _suite(source: ModuleType) -> tuple[Item, ...]:
    parts: tuple[Callable[[ModuleType], Iterator[Item]], ...] = (_facts, _fixed, _unknown, _follow_ups, _quoted)
    return tuple(item for part in parts for item in part(source))


TEST: Final = _suite(heldout_test)
DEV: Final = _suite(heldout_dev)


def normalise(text: str, product_name: str = "") -> str:
    """The words of a question in lower case, without punctuation, with the product and numbers masked."""
    words = re.sub(r"[^a-z0-9 ]", "", text.lower().replace("-", " "))
    name = re.sub(r"[^a-z0-9 ]", "", product_name.lower())
    if name:
        words = words.replace(name, "PRODUCT")
    return " ".join(re.sub(r"\d+", "0", words).split())


def _held_back() -> frozenset[str]:
    found: set[str] = set()
    for source in (heldout_test, heldout_dev):
        forms = [f for table in (source.FACTS, source.FOLLOW_UPS, source.SHOP, source.TALK) for f in table.values()]
        forms += [source.BEYOND, source.SELL, tuple(part for pair in source.QUOTES for part in pair)]
        found |= {_masked(f) for group in forms for f in group}
    return frozenset(found)


def _masked(form: str) -> str:
    return normalise(form.format(p="qqq", n=0), "qqq")


HELD_BACK: Final = _held_back()
FRAGMENTS: Final = tuple(h for h in HELD_BACK if len(h.split()) >= SHORTEST_FRAGMENT_WORDS)
HELD_BACK_NAMES: Final = frozenset(n.lower() for s in (heldout_test, heldout_dev) for n in s.UNKNOWN_NAMES)


def is_held_back(text: str, product_name: str = "") -> bool:
    """Whether training must not see this question: it is a held-out one, or contains a long one."""
    asked = normalise(text, product_name)
    return asked in HELD_BACK or any(fragment in asked for fragment in FRAGMENTS)
