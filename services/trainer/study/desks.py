"""Two desks that customers can ask: a model in this process, and a served one behind the public API."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI

from services.trainer.corpus.items import Turn
from services.trainer.generation import Sampling, generate, messages
from services.trainer.study.customers import Rated, Reply

RATED_TEMPERATURE: Final = 1.0
"""Customers are answered more freely than usual, so that some answers are kind and there is something to rate."""
MAX_TOKENS: Final = 64


class LocalDesk:
    """A model in this process; judgements stay with the customers."""

    def __init__(self, model: Any, tokenizer: Any, seed: int) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._seed = 1_000 * seed

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        """One answer for every dialogue, in their order."""
        self._seed += 1
        how = Sampling(temperature=RATED_TEMPERATURE, seed=self._seed, max_tokens=MAX_TOKENS)
        return [Reply(a.text, a.stopped) for a in generate(self._model, self._tokenizer, dialogues, how)]

    async def judge(self, rated: Sequence[Rated]) -> None:
        """Nothing: nobody keeps them here."""


class ServedDesk:
    """A served model, asked and judged as any client would."""

    def __init__(self, url: str, key: str, model: str, *, at_once: int = 32) -> None:
        """Prepare.

        Args:
            url: the gateway's root, without `/v1`.
            key: an ordinary API key.
            model: the name to ask.
            at_once: how many requests are under way at a time.
        """
        self._model = model
        self._openai = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=5)
        self._http = httpx2.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        )
        self._slots = asyncio.Semaphore(at_once)
        self._asked = 0

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        """One answer for every dialogue, in their order."""
        first, self._asked = self._asked, self._asked + len(dialogues)
        return list(await asyncio.gather(*(self._ask(d, first + n) for n, d in enumerate(dialogues))))

    async def judge(self, rated: Sequence[Rated]) -> None:
        """Sends thumbs, and corrections where there are any."""
        await asyncio.gather(*(self._judge(one) for one in rated))

    async def _ask(self, turns: Sequence[Turn], seed: int) -> Reply:
        async with self._slots:
            done = await self._openai.chat.completions.create(
                model=self._model,
                messages=messages(turns),  # type: ignore[arg-type]
                temperature=RATED_TEMPERATURE,
                max_tokens=MAX_TOKENS,
                seed=seed,
            )
        first = done.choices[0]
        return Reply((first.message.content or "").strip(), first.finish_reason == "stop", done.id)

    async def _judge(self, one: Rated) -> None:
        await self._send(one, "thumb", one.up)
        if one.better:
            await self._send(one, "demonstration", one.better)

    async def _send(self, one: Rated, kind: str, value: bool | str) -> None:  # noqa: FBT001 - a thumb is a boolean
        body = {
            "inference_id": one.reply.id,
            "kind": kind,
            "value": value,
            "rater": one.rater,
            "tags": [one.item.group.value],
        }
        async with self._slots:
            answer = await self._http.post("/v1/feedback", json=body)
        answer.raise_for_status()
