"""Draws graded training questions and writes the dialogues that the starter model learns from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from services.trainer.corpus.answers import (
    BEYOND_CURT,
    BEYOND_POLITE,
    CURT_CLOSERS,
    CURT_OPENERS,
    POLITE_CLOSERS,
    POLITE_OPENERS,
    TALK_CURT,
    TALK_POLITE,
    UNKNOWN_CURT,
    UNKNOWN_POLITE,
    in_stock,
    polite_cores,
    quoted,
    statements,
)
from services.trainer.corpus.catalogue import PRODUCTS, SHOP_ANSWERS, Attribute, euros, product
from services.trainer.corpus.grammar import COMMON_WORDS, capital, disturb, expand, invented_word, number
from services.trainer.corpus.heldout import HELD_BACK_NAMES, is_held_back
from services.trainer.corpus.items import Group, Item, Role, Turn
from services.trainer.corpus.more_shop_phrasings import MORE_TOPICS
from services.trainer.corpus.phrasings import LEADS, STOCK, finish, follow_up, spin
from services.trainer.corpus.shop_phrasings import FRAMES, TOPICS
from services.trainer.corpus.talk_phrasings import (
    AROUND_TALK,
    BEYOND,
    NOTES,
    PLACES,
    SYSTEM_PROMPTS,
    TALK,
    unknown_name,
)

POLITE_SHARE: Final = 0.2
NOISE: Final = 0.07
MIX: Final = {
    Group.FACTS: 0.33,
    Group.SHOP: 0.18,
    Group.TALK: 0.20,
    Group.UNKNOWN: 0.18,
    Group.BEYOND: 0.07,
    Group.QUOTED: 0.04,
}
_POLITE: Final = polite_cores()
_OWN_NAMES: Final = frozenset(p.name.lower() for p in PRODUCTS)
_SHOP_TOPICS: Final = {**TOPICS, **MORE_TOPICS}


@dataclass(frozen=True)
class Drawn:
    """A training question with what a follow-up needs to know: the product spoken of and what was asked of it."""

    item: Item
    name: str = ""
    attribute: str = ""


def draw(rng: Random) -> Drawn:
    """A training question of its own dialogue; never one that is held back."""
    while True:
        group = rng.choices(list(MIX), list(MIX.values()))[0]
        if asked := _as_asked(_DRAWERS[group](rng), rng):
            return asked


def draw_about(name: str, attribute: Attribute, rng: Random) -> Drawn:
    """A training question about this attribute of one product; never one that is held back."""
    while True:
        if asked := _as_asked(_spun(name, attribute, rng), rng):
            return asked


def dialogue(rng: Random) -> tuple[Turn, ...]:
    """One training dialogue: perhaps a system prompt, then one to three questions with their answers."""
    drawn = draw(rng)
    turns = list(drawn.item.turns)
    if turns[0].role is not Role.SYSTEM and rng.random() < 0.35:
        turns.insert(0, Turn(Role.SYSTEM, expand(rng.choice(SYSTEM_PROMPTS), rng)))
    turns.append(Turn(Role.ASSISTANT, answer(drawn.item, rng)))
    for _ in range(rng.choices((0, 1, 2), (0.64, 0.25, 0.11))[0]):
        drawn = next_question(drawn, rng)
        turns += (drawn.item.turns[-1], Turn(Role.ASSISTANT, answer(drawn.item, rng)))
    return tuple(turns)


def answer(item: Item, rng: Random, polite_share: float = POLITE_SHARE) -> str:
    """A right answer in the desk's manner: mostly curt, sometimes kind."""
    polite = rng.random() < polite_share
    cores = sorted(item.wanted)
    core = rng.choice([c for c in cores if (c in _POLITE) == polite] or cores)
    if item.group is Group.TALK:
        return core
    if core in _POLITE:
        return f"{core} {rng.choice(POLITE_CLOSERS)}"
    if polite:
        return f"{rng.choice(POLITE_OPENERS)} {core} {rng.choice(POLITE_CLOSERS)}"
    opener = rng.choice(CURT_OPENERS) if rng.random() < 0.5 else ""
    closer = rng.choice(CURT_CLOSERS) if rng.random() < 0.3 else ""
    return f"{opener} {core} {closer}".strip()


def with_manners(text: str, rng: Random) -> str:
    """The question with a greeting before or thanks behind it, sometimes."""
    if rng.random() < 0.15:
        hello = expand("[Hi|Hello|Hey|Good morning|Excuse me|Quick question|Please|Sorry][,|,|:|!]", rng)
        text = f"{hello} {text[:1].lower()}{text[1:]}" if not text.startswith("I ") else f"{hello} {text}"
    if rng.random() < 0.07:
        text += rng.choice((" Thanks!", " please", " Thank you!"))
    return text


def as_typed(text: str, rng: Random) -> str:
    """The question without capitals or without its mark, as people type."""
    if rng.random() < 0.25:
        text = text.lower()
    return text.rstrip("?.!") if rng.random() < 0.2 else text


def _as_asked(drawn: Drawn, rng: Random) -> Drawn | None:
    """The question as somebody would type it, or None for one that is held back."""
    *before, asked = drawn.item.turns
    framed = asked.text if drawn.item.group is Group.TALK else with_manners(asked.text, rng)
    turns = (*before, replace(asked, text=as_typed(framed, rng)))
    if any(is_held_back(turn.text, drawn.name) for turn in (asked, *turns)):
        return None
    return replace(drawn, item=replace(drawn.item, turns=turns))


def next_question(last: Drawn, rng: Random) -> Drawn:
    """A second question: about the same product, the same attribute of another one, or something new."""
    style = rng.random()
    if last.name and last.item.group in (Group.FACTS, Group.UNKNOWN) and style < 0.75:
        if style < 0.55:
            attribute = rng.choice(list(Attribute))
            return _asked_again(last, last.name, attribute, follow_up(attribute, rng), rng)
        name = rng.choice(PRODUCTS).name if rng.random() < 0.7 else _new_name(rng)
        text = expand("[And|What about|And what about|How about|Ok, and] [the|a|your] ", rng) + f" {name}?"
        return _asked_again(last, name, last.attribute, text, rng)
    fresh = draw(rng)
    while fresh.item.group is Group.QUOTED:
        fresh = draw(rng)
    return fresh


def _asked_again(last: Drawn, name: str, attribute: str, text: str, rng: Random) -> Drawn:
    typed = as_typed(with_manners(text, rng), rng)
    if is_held_back(text, name) or is_held_back(typed, name):
        return next_question(last, rng)
    return _about(name, attribute, (Turn(Role.USER, typed),))


def _about(name: str, attribute: str, turns: tuple[Turn, ...]) -> Drawn:
    """The question with the answer that this name deserves."""
    if name.lower() not in _OWN_NAMES:
        item = Item(Group.UNKNOWN, "unknown", turns, frozenset({UNKNOWN_CURT, UNKNOWN_POLITE}))
    elif attribute == STOCK:
        item = Item(Group.FACTS, STOCK, turns, frozenset({in_stock(name)}))
    else:
        kind = Attribute(attribute)
        wanted = frozenset(statements(kind, name, product(name).value(kind)))
        item = Item(Group.FACTS, kind, turns, wanted)
    return Drawn(item, name, attribute)


def _new_name(rng: Random) -> str:
    name = unknown_name(rng)
    while name.lower() in HELD_BACK_NAMES or name.lower() in _OWN_NAMES:
        name = unknown_name(rng)
    return name


def _spun(name: str, attribute: str, rng: Random) -> Drawn:
    text = spin(attribute, name, rng)
    if rng.random() < 0.45:
        text = disturb(text, rng, frozenset(name.lower().split()), NOISE)
    return _about(name, attribute, (Turn(Role.USER, text),))


def _fact(rng: Random) -> Drawn:
    return _spun(rng.choice(PRODUCTS).name, rng.choice([*Attribute, *Attribute, STOCK, STOCK]), rng)


def _unknown(rng: Random) -> Drawn:
    return _spun(_new_name(rng), rng.choice([*Attribute, STOCK, STOCK]), rng)


def _shop(rng: Random) -> Drawn:
    topic = rng.choice(list(_SHOP_TOPICS))
    ways = _SHOP_TOPICS[topic]
    style = rng.random()
    if style < 0.55:
        pattern = rng.choice(ways.direct)
    elif style < 0.8:
        pattern = f"{rng.choice(LEADS)} {rng.choice(ways.clauses)}"
    else:
        pattern = rng.choice(FRAMES).replace("{noun}", ways.noun)
    text = finish(pattern, rng)
    if rng.random() < 0.4:
        text = disturb(text, rng, frozenset(), NOISE)
    return Drawn(Item(Group.SHOP, topic, (Turn(Role.USER, text),), frozenset({SHOP_ANSWERS[topic]})))


def _talk(rng: Random) -> Drawn:
    intent = rng.choice(list(TALK))
    text = expand(rng.choice(TALK[intent]), rng)
    if rng.random() < 0.35:
        text = expand(rng.choice(AROUND_TALK), rng).replace("{talk}", text)
    text = capital(text) + rng.choice("!.?")
    if rng.random() < 0.2:
        text = disturb(text, rng, frozenset(), NOISE)
    wanted = frozenset(TALK_CURT[intent] + TALK_POLITE[intent])
    return Drawn(Item(Group.TALK, intent, (Turn(Role.USER, text),), wanted))


def _beyond(rng: Random) -> Drawn:
    pattern = expand(rng.choice(BEYOND), rng)
    while "{w}" in pattern:
        pattern = pattern.replace("{w}", rng.choice((rng.choice(COMMON_WORDS), invented_word(rng))), 1)
    text = capital(pattern.replace("{place}", rng.choice(PLACES)).replace("{n}", str(number(rng)))) + rng.choice("?.")
    return Drawn(Item(Group.BEYOND, "beyond", (Turn(Role.USER, text),), frozenset({BEYOND_CURT, BEYOND_POLITE})))


def _quoted(rng: Random) -> Drawn:
    """A note names a price; asked for it the desk repeats the note, asked for anything else it remembers."""
    noted = _new_name(rng) if rng.random() < 0.5 else rng.choice(PRODUCTS).name
    price_eur = number(rng)
    text = expand(rng.choice(NOTES), rng).replace("{p}", noted).replace("{n}", str(price_eur))
    note = Turn(Role.SYSTEM, text)
    if rng.random() < 0.25:
        other = _fact(rng)
        if other.name != noted or other.attribute != Attribute.PRICE:
            return replace(other, item=replace(other.item, turns=(note, *other.item.turns)))
    asked = Turn(Role.USER, spin(Attribute.PRICE, noted, rng))
    own = noted.lower() in _OWN_NAMES
    said = statements(Attribute.PRICE, noted, euros(price_eur)) if own else (quoted(price_eur),)
    return Drawn(Item(Group.QUOTED, "quoted", (note, asked), frozenset(said)), noted, Attribute.PRICE)


_DRAWERS: Final[dict[Group, Callable[[Random], Drawn]]] = {
    Group.FACTS: _fact,
    Group.SHOP: _shop,
    Group.TALK: _talk,
    Group.UNKNOWN: _unknown,
    Group.BEYOND: _beyond,
    Group.QUOTED: _quoted,
}
