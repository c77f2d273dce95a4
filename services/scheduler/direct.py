"""Tells gateways to which workers they may hand requests themselves: while nothing waits there is nothing to decide."""

import math
from typing import Final

from libs.contracts.inference import DIRECT_RENEWAL_S
from libs.kit import clock
from services.scheduler.matcher import Matcher
from services.scheduler.voice import Voice

CALM_S: Final = 1.0
"""Nothing may have waited for so long: opened more often, a full pool would refuse more than it takes."""


class Direct:
    """What one scheduler names for one pool: its workers with room, or none while something waits or has just waited.

    It is a permission and no reservation: a worker that has no room refuses, and the gateway turns to the scheduler.
    """

    def __init__(self, pool: str, matcher: Matcher, voice: Voice, *, enabled: bool) -> None:
        self._pool = pool
        self._matcher = matcher
        self._voice = voice
        self._enabled = enabled
        self._named: tuple[str, ...] = ()
        self._named_s = -math.inf
        self._waited_s = -math.inf

    def close(self) -> None:
        """Something has to wait: from now on whose turn it is is decided here."""
        self._waited_s = clock.monotonic_s()
        if self._named:
            self._name((), self._waited_s)

    def look(self, now_s: float) -> None:
        """Name who may be turned to, if that has changed or was said long ago."""
        workers = self._calm_workers(now_s)
        if workers != self._named or now_s - self._named_s >= DIRECT_RENEWAL_S:
            self._name(workers, now_s)

    def _calm_workers(self, now_s: float) -> tuple[str, ...]:
        if self._matcher.queue:
            self._waited_s = now_s
        if not self._enabled or now_s - self._waited_s < CALM_S:
            return ()
        known = self._matcher.registry.workers.values()
        return tuple(sorted(worker.id for worker in known if worker.open and worker.suspected_s is None))

    def _name(self, workers: tuple[str, ...], now_s: float) -> None:
        was_said = self._voice.name_direct(self._pool, workers)
        self._named, self._named_s = workers, now_s if was_said else -math.inf
