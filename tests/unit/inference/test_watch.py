"""Following one execution through the engine."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from libs.contracts.inference import Usage
from services.inference.engines.watch import Watch


@dataclass
class Choice:
    """As in an output of the engine."""

    token_ids: list[int]
    finish_reason: str | None = None


@dataclass
class Output:
    """As the engine yields it."""

    prompt_token_ids: list[int] | None
    num_cached_tokens: int | None = None


@dataclass
class Engine:
    """Records what it was asked, in order."""

    asked: list[str] = field(default_factory=list)

    async def abort(self, request_id: Iterable[str]) -> None:
        self.asked.append(f"abort {','.join(request_id)}")

    async def is_sleeping(self) -> bool:
        self.asked.append("question")
        return False


def test_usage_sums_over_prompts_and_choices() -> None:
    watch = Watch(Engine())
    assert watch.usage is None
    for engine_id in ("a", "b"):
        watch.begin(engine_id)
        watch.count_prompt(Output([1, 2, 3], 2))
        watch.count_tokens([Choice([1]), Choice([1, 2])])
        watch.count_tokens([Choice([1], "length"), Choice([], "stop")])
        watch.end(engine_id)
    assert watch.usage == Usage(prompt_tokens=6, cached_tokens=4, completion_tokens=8, finish_reason="stop")


async def test_an_abort_is_confirmed_by_the_engine_itself() -> None:
    engine = Engine()
    watch = Watch(engine)
    watch.begin("a")
    watch.begin("b")
    await watch.abort()
    assert engine.asked == ["abort a,b", "question"]


async def test_what_was_aborted_before_it_began_never_begins() -> None:
    engine = Engine()
    watch = Watch(engine)
    await watch.abort()
    with pytest.raises(asyncio.CancelledError):
        watch.begin("a")
    assert engine.asked == []
    assert not watch.running
