"""The desk behind the public API, asked and judged as any client would."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from services.trainer.corpus.items import Group, Item, Turn, messages
from services.trainer.study.customers import Rated, Reply
from services.trainer.study.door import Door, Troubles

RATED_TEMPERATURE: Final = 1.0
"""Customers are answered more freely than usual, so that some answers are kind and there is something to rate."""
MAX_TOKENS: Final = 64
T = TypeVar("T")


def topic(item: Item) -> str:
    """What a question is about, as judgements are tagged: for facts what is asked of the product, else the group."""
    return str(item.label if item.group is Group.FACTS else item.group.value)


async def together(wanted: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them come to; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in wanted]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [task.result() for task in tasks]


class ServedDesk:
    """A served model and its feedback, over HTTP."""

    def __init__(
        self,
        url: str,
        key: str,
        model: str,
        *,
        at_once: int = 32,
        temperature: float | None = RATED_TEMPERATURE,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            url: the gateway's root, without `/v1`.
            key: an ordinary API key.
            model: the name to ask.
            at_once: how many requests are under way at a time.
            temperature: of the answers; None leaves it to the server.
            told: is called after each answer and after each customer's judgement.
        """
        self._model, self._temperature = model, temperature
        self._door = Door(url, key)
        self._slots = asyncio.Semaphore(at_once)
        self._told = told
        self._asked = 0

    @property
    def troubles(self) -> Troubles:
        """What had to be sent again."""
        return self._door.troubles

    async def close(self) -> None:
        """Close the connections."""
        await self._door.close()

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        """One answer for every dialogue, in their order."""
        first, self._asked = self._asked, self._asked + len(dialogues)
        asked = [self.ask_one(d, {"seed": first + n}) for n, d in enumerate(dialogues)]
        return await together(asked)

    async def judge(self, rated: Sequence[Rated]) -> None:
        """Sends thumbs, and corrections where there are any."""
        await together([self.judge_one(one) for one in rated])

    async def ask_one(
        self, turns: Sequence[Turn], fields: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One answer; `fields` go into the body."""
        body = {"model": self._model, "messages": messages(turns), "max_tokens": MAX_TOKENS, **fields}
        if self._temperature is not None:
            body["temperature"] = self._temperature
        async with self._slots:
            said = await self._door.chat(body, headers or {})
        self._told()
        return Reply(said.text, said.stopped, said.id, said.version)

    async def judge_one(self, one: Rated) -> None:
        """One customer's thumb, and the correction if there is one."""
        await self._send(one, "thumb", one.up)
        await self.correct_one(one)
        self._told()

    async def correct(self, rated: Sequence[Rated]) -> None:
        """Sends corrections alone."""
        await together([self.correct_one(one) for one in rated])

    async def correct_one(self, one: Rated) -> None:
        """The correction alone, if there is one."""
        if one.better:
            await self._send(one, "demonstration", one.better)

    async def _send(self, one: Rated, kind: str, value: bool | str) -> None:  # noqa: FBT001 - a thumb is a boolean
        body = {
            "inference_id": one.reply.id,
            "kind": kind,
            "value": value,
            "rater": one.rater,
            "tags": [topic(one.item)],
        }
        async with self._slots:
            await self._door.judge(body)
