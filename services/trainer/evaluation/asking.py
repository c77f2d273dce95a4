"""Asks served models through the gateway at class batch, candidate and baseline in turns."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import openai
from openai import AsyncOpenAI

from libs.contracts.errors import ERRORS
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.trainer.evaluation.answers import Answer, Journal, Key
from services.trainer.evaluation.items import Item, digest

_SEED_HEX: Final = 7
"""28 bits: every engine takes such a seed."""
_HOPELESS: Final = frozenset({"model_not_found", "invalid_api_key", "forbidden", "version_not_found"})
"""What no later request would get past."""
_DEFAULT_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0


@dataclass(frozen=True)
class Served:
    """Where to ask, and how patiently."""

    url: str
    key: str
    tenant: str = ""
    """For whom is asked, where the key is one that acts for tenants; others ignore it."""
    concurrency: int = 8
    timeout_s: float = 600.0
    attempts: int = 6
    most_failures: int = 30
    """So many answers in a row that never came end the evaluation: then it would measure the outage."""


@dataclass(frozen=True)
class Question:
    """One answer to get."""

    model: str
    key: Key
    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...] = ()


@dataclass
class _Said:
    text: list[str] = field(default_factory=list)
    finish_reason: str = ""
    first_token_ms: float | None = None


def questions(
    task: str, items: Sequence[Item], temperatures: Sequence[float], samples: int, seed: int
) -> Iterator[tuple[Item, float, int, int]]:
    """Every (item, temperature, sample, seed) of a task; temperature 0 is asked once."""
    for item in items:
        for temperature in temperatures:
            for number in range(samples if temperature > 0 else 1):
                yield item, temperature, number, seed_of(seed, task, item.id, number)


def seed_of(seed: int, task: str, item: str, number: int) -> int:
    """The seed of one answer: the same for both sides, another one for every item and sample."""
    return int(digest(str(seed), task, item, str(number))[:_SEED_HEX], 16)


class Asker:
    """Gets answers, a bounded number at a time."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._in_a_row = 0
        # Proxies of the environment are none of ours: the serving plane is where the order says.
        self._client = AsyncOpenAI(
            base_url=served.url,
            api_key=served.key,
            timeout=served.timeout_s,
            max_retries=0,
            default_headers={"x-llmos-class": "batch"} | ({"x-llmos-tenant": served.tenant} if served.tenant else {}),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask_all(
        self, asked: Sequence[Question], journal: Journal | None, told: Callable[[Answer], None]
    ) -> list[Answer]:
        """The answers in the order of the questions; `told` hears of each as it comes.

        Raises:
            ServiceError: no further request can succeed, or too many failed in a row.
        """
        answers: dict[Key, Answer] = {}
        waiting = iter(asked)

        async def work() -> None:
            for question in waiting:
                answer = await self.ask(question)
                answers[question.key] = answer
                if journal is not None:
                    journal.add(answer)
                told(answer)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, self._served.concurrency)):
                    group.create_task(work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        return [answers[question.key] for question in asked]

    async def ask(self, question: Question) -> Answer:
        """One answer; one that never came has the code of its last error.

        Raises:
            ServiceError: see `ask_all`.
        """
        for attempt in range(1, self._served.attempts + 1):
            started_s = clock.monotonic_s()
            said = _Said()
            try:
                await self._stream(question, said, started_s)
            except openai.OpenAIError as error:
                failure = _failure(error)
            else:
                self._in_a_row = 0
                return _answer(question, said, (clock.monotonic_s() - started_s) * 1_000)
            if not failure.spec.retryable or attempt == self._served.attempts:
                break
            await asyncio.sleep(_wait_s(attempt, failure, question.seed))
        self._count(failure)
        return _answer(question, _Said(), None, failure.code)

    async def _stream(self, question: Question, said: _Said, started_s: float) -> None:
        stream: Any = await self._client.chat.completions.create(
            model=question.model,
            messages=question.messages,  # type: ignore[arg-type] # as the task file has them
            temperature=question.temperature,
            max_tokens=question.max_tokens,
            seed=question.seed,
            stop=list(question.stop) or openai.omit,
            stream=True,
        )
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    if said.first_token_ms is None:
                        said.first_token_ms = (clock.monotonic_s() - started_s) * 1_000
                    said.text.append(choice.delta.content)
                said.finish_reason = choice.finish_reason or said.finish_reason
        if not said.finish_reason:
            raise openai.APIConnectionError(
                message="the stream ended before the answer did", request=stream.response.request
            )

    def _count(self, failure: ServiceError) -> None:
        self._in_a_row += 1
        if failure.code in _HOPELESS or self._in_a_row >= self._served.most_failures:
            raise failure


def _answer(question: Question, said: _Said, latency_ms: float | None, error: str = "") -> Answer:
    task, side, temperature, item, number = question.key
    return Answer(
        task=task,
        item=item,
        side=side,
        temperature=temperature,
        sample=number,
        # A lone surrogate is no text and could not be written down.
        text="".join(said.text).encode(errors="replace").decode(),
        finish_reason=said.finish_reason,
        latency_ms=None if latency_ms is None else round(latency_ms, 3),
        first_token_ms=None if said.first_token_ms is None else round(said.first_token_ms, 3),
        error=error,
    )


def _failure(error: openai.OpenAIError) -> ServiceError:
    """The error in the platform's words; one without a code of ours is a lost connection or an unknown answer."""
    if isinstance(error, openai.APIConnectionError):
        return ServiceError("worker_lost", f"The serving plane did not answer: {error}.")
    code = str(getattr(error, "code", None) or "")
    if code not in ERRORS:
        status = getattr(error, "status_code", None)
        code = "engine_error" if status is None or status >= 500 else "internal_error"
    retry_after_s = None
    if isinstance(error, openai.APIStatusError):
        header = error.response.headers.get("retry-after", "")
        retry_after_s = float(header) if header.replace(".", "", 1).isdigit() else None
    return ServiceError(code, f"The serving plane refused: {error}", retry_after_s=retry_after_s)


def _wait_s(attempt: int, failure: ServiceError, seed: int) -> float:
    """Longer each time, as long as the server asks, and spread out, so that not all come back at once."""
    grown = _DEFAULT_WAIT_S * 2.0 ** (attempt - 1)
    wanted = min(max(grown, failure.retry_after_s or 0.0), _LONGEST_WAIT_S)
    return wanted * clock.seeded_random(seed + attempt).uniform(0.5, 1.0)
