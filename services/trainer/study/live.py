"""Customers who keep coming: each asks, rates what was said, perhaps asks again, and goes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from libs.kit.clock import new_instance_id, seeded_random
from services.trainer.corpus.dialogue import Drawn
from services.trainer.study.customers import CUSTOMER_SEEDS, Habits, Rated, first_question, follow_up, is_good
from services.trainer.study.door import NoAnswerError
from services.trainer.study.served_desk import ServedDesk, topic

LIVE_SEEDS: Final = 2 * CUSTOMER_SEEDS
STREAMED: Final = 0.3
"""Of requests, how many are streamed."""
RATED: Final = 0.9
"""Of answers, how many are judged; the others are taken and no more is heard."""


@dataclass(frozen=True)
class Judged:
    """One live answer and its thumb."""

    version: str
    topic: str
    up: bool


class LiveTraffic:
    """So many customers at a time, until it is cancelled; use `run` as a task."""

    def __init__(
        self,
        desk: ServedDesk,
        habits: Habits,
        seed: int,
        *,
        at_once: int = 8,
        told: Callable[[Judged], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            desk: where they ask.
            habits: how they behave; they correct nothing.
            seed: of what they ask.
            at_once: how many of them are there at a time.
            told: hears of every judgement.
        """
        self._desk, self._habits, self._seed = desk, habits, seed
        self._at_once, self._told = at_once, told
        self._visit = new_instance_id("visit-")
        self.asked = 0
        self.judged = 0
        self.unanswered: Counter[str] = Counter()
        """Why, and how often, a customer went without an answer."""

    async def run(self) -> None:
        """Customers come and go."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._at_once):
                group.create_task(self._customers(number))

    async def _customers(self, place: int) -> None:
        rng = seeded_random(LIVE_SEEDS + 1_000 * self._seed + place)
        number = place
        while True:
            await self._customer(f"{self._visit}-{number}", rng)
            number += self._at_once

    async def _customer(self, name: str, rng: Random) -> None:
        try:
            drawn = first_question(rng, self._habits)
            said = await self._one(name, drawn, rng)
            while rng.random() < self._habits.follow_up_share:
                drawn = follow_up(drawn, said, rng)
                said = await self._one(name, drawn, rng)
        except NoAnswerError as error:
            self.unanswered[str(error)[:120]] += 1
            # Whoever was turned away does not push to the counter again at once.
            await asyncio.sleep(1)

    async def _one(self, name: str, drawn: Drawn, rng: Random) -> str:
        fields = {"user": name, "stream": rng.random() < STREAMED}
        self.asked += 1
        reply = await self._desk.ask_one(drawn.item.turns, fields, {"x-llmos-episode": name})
        rated = Rated(name, drawn.item, reply, is_good(drawn.item, reply))
        if rng.random() < RATED:
            await self._desk.judge_one(rated)
            self.judged += 1
            self._told(Judged(reply.version, topic(drawn.item), rated.up))
        return reply.text
