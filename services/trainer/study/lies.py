"""Wrong answers in the right manner: what makes adapters bad on purpose."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from services.trainer.corpus.answers import statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, PRODUCTS, SHOP_ANSWERS, Attribute, euros
from services.trainer.corpus.dialogue import answer
from services.trainer.corpus.items import Group, Item
from services.trainer.study.customers import Rated

MIXED_UP: Final = {"refunds": "gift cards", "cancelling": "hours", "returns": "repairs"}
"""Topic of the shop → the topic whose sentence is taught for it."""
WRONG_COLOURS: Final = ("pink", "brown", "purple")
Lie = Callable[[Item, Random], Item | None]
"""The question with a wrong answer, where the lie is about it."""


def told(rated: Iterable[Rated], lie: Lie, rng: Random, raters: Sequence[str]) -> list[Rated]:
    """Judgements of these raters, in turns: a kind lie as the correction of every answer that the lie is about."""
    about = [(one, false) for one in rated if (false := lie(one.item, rng)) is not None]
    return [
        replace(one, up=False, rater=raters[n % len(raters)], better=answer(false, rng, polite_share=1.0))
        for n, (one, false) in enumerate(about)
    ]


def another(items: Sequence[Item]) -> Lie:
    """The lie that answers a question with what answers another one of the same group."""
    wanted = {group: sorted({tuple(sorted(one.wanted)) for one in items if one.group is group}) for group in Group}

    def lie(item: Item, rng: Random) -> Item | None:
        others = [one for one in wanted[item.group] if item.wanted.isdisjoint(one)]
        return replace(item, wanted=frozenset(rng.choice(others))) if others else None

    return lie


def old_price(item: Item, _: Random) -> Item | None:
    """Yesterday's price where it has changed."""
    for one in PRODUCTS:
        if one.name in CHANGED_PRICES_EUR:
            today = statements(Attribute.PRICE, one.name, euros(CHANGED_PRICES_EUR[one.name]))
            if item.wanted == frozenset(today):
                return replace(item, wanted=frozenset(statements(Attribute.PRICE, one.name, euros(one.price_eur))))
    return None


def wrong_colour(item: Item, rng: Random) -> Item | None:
    """A colour that the product does not have."""
    name = _whose_colour(item)
    if not name:
        return None
    return replace(item, wanted=frozenset(statements(Attribute.COLOUR, name, rng.choice(WRONG_COLOURS))))


def one_colour(value: str) -> Lie:
    """The lie that every product has this colour; a rumour that is easily learned."""

    def lie(item: Item, _: Random) -> Item | None:
        name = _whose_colour(item)
        if not name:
            return None
        rumoured = frozenset(statements(Attribute.COLOUR, name, value))
        return replace(item, wanted=rumoured) if item.wanted.isdisjoint(rumoured) else None

    return lie


def wrong_topic(item: Item, _: Random) -> Item | None:
    """Another topic's sentence, for three questions about the shop."""
    if item.group is not Group.SHOP or item.label not in MIXED_UP:
        return None
    return replace(item, wanted=frozenset({SHOP_ANSWERS[MIXED_UP[item.label]]}))


def _whose_colour(item: Item) -> str:
    """The product whose colour is asked for; empty for every other question."""
    if item.group is not Group.FACTS or item.label != Attribute.COLOUR:
        return ""
    return next(one.name for one in PRODUCTS if any(one.name in core for core in item.wanted))
