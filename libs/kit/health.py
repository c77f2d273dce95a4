"""What a process stands on and which of it is missing: looked at when somebody asks, and never before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from nats.errors import Error as NatsError

from libs.kit import clock
from libs.kit.bus import BusError
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 2.0
"""What has not answered by then is missing."""
_FRESH_S: Final = 1.0
"""However often somebody asks, what stands outside this process is not asked more often than this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is missing at the moment."""

    missing: tuple[str, ...] = ()
    """Without these the process cannot do its work."""
    degraded: tuple[str, ...] = ()
    """Without these it does some of it."""

    @property
    def is_ready(self) -> bool:
        """Whether everything is there that its work needs."""
        return not self.missing

    @property
    def lacks(self) -> tuple[str, ...]:
        """Everything that is missing, what is needed first."""
        return self.missing + self.degraded


class Health:
    """The named things that one process depends on."""

    def __init__(self, *, patience_s: float = _PATIENCE_S, fresh_s: float = _FRESH_S) -> None:
        """Depend on nothing yet.

        Args:
            patience_s: how long one thing may take to answer.
            fresh_s: how long its answer is good for.
        """
        self._patience_s = patience_s
        self._fresh_s = fresh_s
        self._optional: set[str] = set()
        self._seen: dict[str, Callable[[], bool]] = {}
        self._asked: dict[str, Callable[[], Awaitable[object]]] = {}
        self._answers: dict[str, bool] = {}
        self._answered_s = float("-inf")
        self._asking = asyncio.Lock()
        self._questions: dict[str, asyncio.Task[bool]] = {}

    @property
    def depends(self) -> tuple[str, ...]:
        """Every name, in the order in which they were given."""
        return (*self._seen, *self._asked)

    def see(self, name: str, is_there: Callable[[], bool], *, needed: bool = True) -> None:
        """Depend on something of which this process knows by itself whether it is there."""
        self._add(name, needed=needed)
        self._seen[name] = is_there

    def ask(self, name: str, question: Callable[[], Awaitable[object]], *, needed: bool = True) -> None:
        """Depend on something that must be asked: it is there if `question` ends in time and without an error."""
        self._add(name, needed=needed)
        self._asked[name] = question

    async def look(self) -> Finding:
        """What is missing. Takes no longer than the slowest thing may take to answer, and raises nothing."""
        await self._ask_all()
        # Read after the questions: what is seen is then as new as what was answered.
        there = {name: is_there() for name, is_there in self._seen.items()} | self._answers
        lacking = [name for name in self.depends if not there[name]]
        return Finding(
            missing=tuple(name for name in lacking if name not in self._optional),
            degraded=tuple(name for name in lacking if name in self._optional),
        )

    def _add(self, name: str, *, needed: bool) -> None:
        if name in self.depends:
            raise ValueError(f"{name!r} is among the dependencies already")
        if not needed:
            self._optional.add(name)

    async def _ask_all(self) -> None:
        async with self._asking:
            # Whoever waited for the lock takes the answers that were given meanwhile.
            if not self._asked or clock.monotonic_s() - self._answered_s < self._fresh_s:
                return
            answers = await asyncio.gather(*(self._answers_in_time(name) for name in self._asked))
            self._answers = dict(zip(self._asked, answers, strict=True))
            self._answered_s = clock.monotonic_s()

    async def _answers_in_time(self, name: str) -> bool:
        question = self._questions.get(name)
        if question is None or question.done():
            # A task of its own: what hangs may take its time to be broken off, too, and nobody is to wait for that.
            question = self._questions[name] = asyncio.create_task(self._does_answer(name), name=f"health-{name}")
        await asyncio.wait((question,), timeout=self._patience_s)
        if question.done():
            return not question.cancelled() and question.result()
        question.cancel()
        return False

    async def _does_answer(self, name: str) -> bool:
        try:
            await self._asked[name]()
        except (ServiceError, BusError, NatsError, OSError, TimeoutError) as error:
            log.debug("dependency is missing", dependency=name, reason=str(error) or type(error).__name__)
            return False
        except Exception:
            # Whoever asks wants to know what is missing, not that a question could not be asked.
            log.exception("dependency could not be asked", dependency=name)
            return False
        return True
