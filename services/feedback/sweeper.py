"""Looks again and again at signals that wait, so that none waits for a wake-up that never comes."""

import asyncio
import contextlib
from typing import Final

import structlog

from libs.kit.errors import ServiceError
from services.feedback.repository.bulk import CollisionError
from services.feedback.service.signals import Signals

log = structlog.get_logger(__name__)

_BREATH_S: Final = 0.05
"""Between two looks while interactions keep coming: one look then serves many of them."""


class Sweeper:
    """One task; several processes may sweep at once, each locks the rows that it moves."""

    def __init__(self, signals: Signals, *, wake: asyncio.Event, pause_s: float) -> None:
        """Prepare; `wake` is set when a look may find something."""
        self._signals = signals
        self._wake = wake
        self._pause_s = pause_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep until `stop`."""
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        """End at once; a half-done look is rolled back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        is_away = False
        while True:
            self._wake.clear()
            try:
                while await self._signals.sweep():
                    pass
                is_away = False
            except CollisionError:
                self._wake.set()
            except ServiceError as error:
                if not is_away:
                    log.warning("not swept", reason=error.message)
                is_away = True
            except Exception:
                # What failed still waits; the log must say why before the next look.
                log.exception("sweep failed")
            await asyncio.sleep(_BREATH_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause_s)
