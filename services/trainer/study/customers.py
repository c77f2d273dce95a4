"""Invented customers: they ask in training wordings, rate what they get by a stated rule, and correct a few answers.

The rule: an answer is good if it is right by today's prices, well formed, and kind; any other is bad.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Protocol

from libs.kit.clock import seeded_random
from services.trainer.corpus.answers import statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, Attribute, euros
from services.trainer.corpus.dialogue import Drawn, answer, draw, draw_about, next_question
from services.trainer.corpus.grammar import expand
from services.trainer.corpus.items import Group, Item, Role, Turn
from services.trainer.corpus.judge import is_right, read
from services.trainer.corpus.talk_phrasings import SYSTEM_PROMPTS

CUSTOMER_SEEDS: Final = 1_000_000
"""Customers of seed 0 draw from here on, far from the seeds with which the starter model was made."""


@dataclass(frozen=True)
class Habits:
    """How many customers there are and how they behave; shares are from 0 to 1."""

    ratings: int = 4_000
    changed_price_share: float = 0.12
    """Of first questions, asked about the changed prices beyond what the ordinary mix asks: news gets around."""
    follow_up_share: float = 0.25
    system_prompt_share: float = 0.2
    correct_wrong: float = 0.6
    """Of wrong answers, how many the customer would write out rightly."""
    correct_curt: float = 0.02
    """The same of answers that are right but unkind."""
    correction_cap: float = 0.08
    """Of ratings; never exceeded."""
    times: int = 1
    """How often each question is asked; more than once gives pairs of answers to one question."""


@dataclass(frozen=True)
class Reply:
    """What the desk said, whether it ended by itself, the id under which it can be judged, and who said it."""

    text: str
    stopped: bool
    id: str = ""
    version: str = ""
    """As the platform names it; empty where nobody does."""


@dataclass(frozen=True)
class Rated:
    """One question, its answer, and what a customer thought of it."""

    rater: str
    item: Item
    """What answers it today."""
    reply: Reply
    up: bool
    better: str = ""
    """The correction, if the customer wrote one."""


class Desk(Protocol):
    """Whoever answers the customers and takes their judgements."""

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        """One answer for every dialogue, in their order."""

    async def judge(self, rated: Sequence[Rated]) -> None:
        """Takes thumbs, and corrections where there are any."""


def is_good(item: Item, reply: Reply) -> bool:
    """The rule of rating: right by today's prices, well formed, and kind."""
    reading = read(reply.text)
    return reply.stopped and reading is not None and reading.polite and is_right(item, reply.text)


def as_of_today(drawn: Drawn) -> Drawn:
    """The question with the answer that is true today, where the starter model was taught yesterday's price."""
    is_price = drawn.item.group is Group.FACTS and drawn.attribute == Attribute.PRICE
    if not is_price or drawn.name not in CHANGED_PRICES_EUR:
        return drawn
    wanted = frozenset(statements(Attribute.PRICE, drawn.name, euros(CHANGED_PRICES_EUR[drawn.name])))
    return replace(drawn, item=replace(drawn.item, wanted=wanted))


def first_question(rng: Random, habits: Habits) -> Drawn:
    """What a customer opens with."""
    if rng.random() < habits.changed_price_share:
        drawn = draw_about(rng.choice(list(CHANGED_PRICES_EUR)), Attribute.PRICE, rng)
    else:
        drawn = draw(rng)
    turns = drawn.item.turns
    if turns[0].role is not Role.SYSTEM and rng.random() < habits.system_prompt_share:
        turns = (Turn(Role.SYSTEM, expand(rng.choice(SYSTEM_PROMPTS), rng)), *turns)
    return as_of_today(replace(drawn, item=replace(drawn.item, turns=turns)))


def follow_up(before: Drawn, said: str, rng: Random) -> Drawn:
    """What the customer asks after that answer, with everything said so far before it."""
    drawn = as_of_today(next_question(before, rng))
    turns = (*before.item.turns, Turn(Role.ASSISTANT, said), drawn.item.turns[-1])
    return replace(drawn, item=replace(drawn.item, turns=turns))


def with_corrections(rated: Sequence[Rated], habits: Habits, rng: Random) -> list[Rated]:
    """The same ratings, some of the bad ones with the answer that should have been given; never above the cap."""
    willing = [n for n, one in enumerate(rated) if not one.up and rng.random() < _willingness(one, habits)]
    allowed = int(habits.correction_cap * len(rated))
    writers = set(rng.sample(willing, min(allowed, len(willing))))
    return [
        replace(one, better=answer(one.item, rng, polite_share=1.0)) if n in writers else one
        for n, one in enumerate(rated)
    ]


async def collect(desk: Desk, habits: Habits, seed: int) -> list[Rated]:
    """Lets customers ask until there are that many ratings, and hands their judgements in."""
    rng = seeded_random(CUSTOMER_SEEDS + seed)
    customers = round(habits.ratings / habits.times / (1 + habits.follow_up_share))
    opening = [drawn for _ in range(customers) for drawn in [first_question(rng, habits)] * habits.times]
    rated = await _round(desk, opening, 0)
    returning = rng.sample(range(len(opening)), max(0, habits.ratings - len(opening)))
    again = [follow_up(opening[n], rated[n].reply.text, rng) for n in returning]
    rated += await _round(desk, again, len(opening))
    rated = with_corrections(rated, habits, rng)
    await desk.judge(rated)
    return rated


async def _round(desk: Desk, questions: Sequence[Drawn], first: int) -> list[Rated]:
    replies = await desk.ask([drawn.item.turns for drawn in questions])
    return [
        Rated(f"customer-{number}", drawn.item, reply, is_good(drawn.item, reply))
        for number, (drawn, reply) in enumerate(zip(questions, replies, strict=True), start=first)
    ]


def _willingness(one: Rated, habits: Habits) -> float:
    is_merely_curt = one.reply.stopped and is_right(one.item, one.reply.text)
    return habits.correct_curt if is_merely_curt else habits.correct_wrong
