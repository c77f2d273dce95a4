"""Joins what the engine produced: one frame per execution and interval, one message for all executions that ended."""

import asyncio
from typing import Final, Protocol

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import Released, Running
from libs.kit import clock
from libs.kit.bus import BusClient, BusError
from services.inference.bundles import Bundler, Sender

log = structlog.get_logger(__name__)

_MANY: Final = 16
"""So many requests wait for each other at most: with them under way, the gateway works while the rest is produced."""
_encode = msgspec.json.Encoder().encode


class Source(Sender, Protocol):
    """Something that has bytes for the bus."""

    def flush(self, bundler: Bundler) -> int:
        """Send what is ready; the number of frames."""


class Outbox:
    """Publishes at the end of a loop tick what is urgent, and with it, or after an interval, everything else.

    Waking the bus server, the gateway and the client costs each of them more than a token does, so a fast engine's
    steps are joined. What a reader waits for is urgent: the first bytes of an answer, its end, a credit. Of a crowd of
    those the first leave before the last are there.
    """

    def __init__(self, bus: BusClient, worker: str, *, interval_s: float) -> None:
        """Publish through `bus`; what is not urgent waits at most `interval_s` seconds since the last publishing."""
        self._bus = bus
        self._bundler = Bundler(bus)
        self._interval_s = interval_s
        self._worker = worker
        self._subject: Final = subjects.released(worker)
        self._sources: list[Source] = []
        self._ended: list[Running] = []
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_s = 0.0
        self.frames = 0

    def mark(self, source: Source) -> None:
        """Flush `source` when the interval is over, or sooner if somebody hurries."""
        self._sources.append(source)
        if self._soon or self._timer is not None:
            return
        left_s = self._flushed_s + self._interval_s - clock.monotonic_s()
        if left_s <= 0:
            self.hurry()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self.flush)

    def hurry(self) -> None:
        """Flush everything at the end of this tick, or now if many wait."""
        if len(self._sources) >= _MANY:
            soon = self._soon
            self.flush()
            self._bus.write_now()
            self._soon = soon
        elif not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self.flush)

    def release(self, ended: Running) -> None:
        """Tell the schedulers at the end of this tick that `ended` holds no credit any more."""
        self._ended.append(ended)
        self.hurry()

    def flush(self) -> None:
        """Publish everything now."""
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed_s = clock.monotonic_s()
        sources, self._sources = self._sources, []
        for source in sources:
            self.frames += source.flush(self._bundler)
        for sender in self._bundler.send():
            sender.lose()
        if self._ended:
            ended, self._ended = tuple(self._ended), []
            try:
                self._bus.publish(self._subject, _encode(Released(self._worker, ended)))
            except BusError as error:
                # The next beat names what still runs, which gives the credits back as well.
                log.warning("release lost", error=str(error), count=len(ended))
