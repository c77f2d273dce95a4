"""Work that is done again and again, when something has happened and now and then anyway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from libs.kit.bus import BusError
from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import FAILED_ROUNDS
from libs.kit.waiting import set_within

log = structlog.get_logger(__name__)

_BREATH_S: Final = 0.02
"""Between two rounds while things keep happening: one round then serves many of them."""


class Rounds:
    """One task. Several processes may do the same work at once: each locks the rows that it takes."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[int]],
        *,
        pause_s: float,
        wake: asyncio.Event | None = None,
        at_once: tuple[type[Exception], ...] = (),
    ) -> None:
        """Prepare.

        Args:
            name: of the work, for the log.
            work: says how much it did and is called until that is nothing.
            pause_s: between two looks.
            wake: says that there is some.
            at_once: failures after which it is tried again without a pause.
        """
        self._name = name
        self._work = work
        self._pause_s = pause_s
        self._wake = wake or asyncio.Event()
        self._at_once = at_once
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Work until `stop`."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End at once; what is half done is rolled back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            pause_s = self._pause_s
            try:
                while await self._work():
                    self._trouble = ""
                self._trouble = ""
            except self._at_once:
                pause_s = 0.0
            except (ServiceError, BusError) as error:
                if self._trouble != type(error).__name__:
                    log.warning("not done yet", work=self._name, reason=str(error))
                self._trouble = type(error).__name__
                FAILED_ROUNDS.labels(self._name).inc()
            except Exception:
                # What failed is still to be done; the log must say why before it is tried again.
                log.exception("round failed", work=self._name)
                FAILED_ROUNDS.labels(self._name).inc()
            await asyncio.sleep(_BREATH_S)
            await set_within(self._wake, pause_s)
