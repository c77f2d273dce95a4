"""Follows what one execution does in the engine: its engine requests, its tokens, its end."""

import asyncio
import contextvars
from collections.abc import Iterable, Sequence
from typing import Protocol

from libs.contracts.inference import Usage


class Aborter(Protocol):
    """The part of vLLM's client that ends requests."""

    async def abort(self, request_id: Iterable[str]) -> None:
        """Ask the engine to end these requests."""

    async def is_sleeping(self) -> bool:
        """Any question that the engine's own process answers."""


class Choice(Protocol):
    """One of the answers in an output."""

    @property
    def token_ids(self) -> Sequence[int]:
        """What is new, or everything, as the request asked."""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended; None while it goes on."""


class Output(Protocol):
    """What is common to the engine's outputs."""

    @property
    def prompt_token_ids(self) -> Sequence[int] | None:
        """The prompt, in the first output at least."""

    @property
    def num_cached_tokens(self) -> int | None:
        """How much of the prompt was in the cache."""


class Watch:
    """One execution's share of the engine; it may need several engine requests."""

    def __init__(self, engine: Aborter) -> None:
        self.refusal = ""
        self._engine = engine
        self._live: list[str] = []
        self._answered = False
        self._aborted = False
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._completion_tokens = 0
        self._finish_reason = ""

    @property
    def usage(self) -> Usage | None:
        """Tokens so far, summed over prompts and choices; None before the engine's first output."""
        if not self._answered:
            return None
        return Usage(
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            completion_tokens=self._completion_tokens,
            finish_reason=self._finish_reason,
        )

    @property
    def running(self) -> bool:
        """Whether an engine request of it has not ended."""
        return bool(self._live)

    async def abort(self) -> None:
        """Abort everything; returns when the engine's process has handled the abort."""
        self._aborted = True
        if self._live:
            await self._engine.abort(list(self._live))
            # Messages to the engine are handled in order: an answer to this one proves that the abort is done.
            await self._engine.is_sleeping()

    def begin(self, engine_id: str) -> None:
        """The engine is about to run `engine_id`.

        Raises:
            asyncio.CancelledError: the execution was aborted before it came this far.
        """
        if self._aborted:
            raise asyncio.CancelledError
        self._live.append(engine_id)

    def end(self, engine_id: str) -> None:
        """The engine runs `engine_id` no longer."""
        self._live.remove(engine_id)

    def refuse(self, why: str) -> None:
        """The engine would not begin; the client's fault."""
        self.refusal = why

    def count_prompt(self, output: Output) -> None:
        """Count the prompt, once per engine request."""
        self._answered = True
        self._prompt_tokens += len(output.prompt_token_ids or ())
        self._cached_tokens += output.num_cached_tokens or 0

    def count_tokens(self, choices: Iterable[Choice]) -> None:
        """Count what one output adds."""
        for choice in choices:
            self._completion_tokens += len(choice.token_ids)
            if choice.finish_reason is not None:
                self._finish_reason = choice.finish_reason


current: contextvars.ContextVar[Watch | None] = contextvars.ContextVar("watch", default=None)
"""The execution on whose behalf the running task works."""
