"""Speaks to one listener until it leaves, is too slow, or may listen no more; how it is spoken to is the dialect's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from libs.contracts.permissions import Permission
from libs.kit import clock
from libs.kit.bus.reading import Stored
from libs.kit.errors import ServiceError
from services.gateway.subscriptions.feed import Gap, Listener

log = structlog.get_logger(__name__)

NEEDED: Final = Permission.EVENTS_READ
_CHECK_S: Final = 1.0
"""How often it is looked whether the listener may still listen: a revoked key ends it."""


class Dialect(Protocol):
    """How things are written down for a listener."""

    def events(self, found: list[Stored]) -> str:
        """Some events, each with its position."""

    def beat(self, position: int) -> str:
        """A sign of life that is no event; it moves the place at which the listener would go on."""

    def gap(self, gap: Gap) -> str:
        """Some events may be gone."""

    def error(self, error: ServiceError) -> str:
        """Why nothing more comes."""


class SlowListenerError(Exception):
    """It has not taken anything for too long."""


class Speaker:
    """One conversation."""

    def __init__(  # noqa: PLR0913 - a conversation and its limits
        self,
        listener: Listener,
        dialect: Dialect,
        write: Callable[[str], Awaitable[None]],
        *,
        may_listen: Callable[[], None],
        is_over: Callable[[], bool],
        beat_s: float,
        stall_s: float,
    ) -> None:
        """Prepare.

        Args:
            listener: what is read.
            dialect: how it is written down.
            write: sends text; returns when the listener has taken enough of it.
            may_listen: raises `ServiceError` once it may not any more.
            is_over: whether it has left, or the process is stopping.
            beat_s: after so long without an event there is a sign of life.
            stall_s: who takes nothing for so long is cut off.
        """
        self._listener = listener
        self._dialect = dialect
        self._write = write
        self._may_listen = may_listen
        self._is_over = is_over
        self._beat_s = beat_s
        self._stall_s = stall_s
        self._spoken_s = 0.0

    async def speak(self, gap: Gap | None) -> None:
        """Go on until it is over.

        Raises:
            SlowListenerError: it is to be cut off.
        """
        await self._say(self._dialect.beat(self._listener.position))
        if gap is not None:
            await self._say(self._dialect.gap(gap))
        checked_s = clock.monotonic_s()
        while not self._is_over():
            found = await self._listener.next(_CHECK_S)
            now_s = clock.monotonic_s()
            if now_s - checked_s >= _CHECK_S:
                checked_s = now_s
                try:
                    self._may_listen()
                except ServiceError as error:
                    await self._say(self._dialect.error(error))
                    return
            if found:
                await self._say(self._dialect.events(found))
            elif now_s - self._spoken_s >= self._beat_s:
                await self._say(self._dialect.beat(self._listener.position))

    async def _say(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await self._write(text)
        except TimeoutError as error:
            raise SlowListenerError from error
        self._spoken_s = clock.monotonic_s()
