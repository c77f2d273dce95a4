"""Joins what one loop tick produced: one frame per execution, one message for all executions that ended."""

import asyncio
from typing import Final, Protocol

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import Released, Running
from libs.kit.bus import BusClient, BusError

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode


class Source(Protocol):
    """Something that has bytes for the bus."""

    def flush(self, bus: BusClient) -> int:
        """Publish what is ready; the number of frames."""

    def lose(self) -> None:
        """What was ready could not be published."""


class Outbox:
    """Publishes at the end of each tick in which somebody had something to say."""

    def __init__(self, bus: BusClient, worker: str) -> None:
        self._bus = bus
        self._worker = worker
        self._subject: Final = subjects.released(worker)
        self._sources: list[Source] = []
        self._ended: list[Running] = []
        self._scheduled = False
        self.frames = 0

    def mark(self, source: Source) -> None:
        """Flush `source` at the end of this tick."""
        self._sources.append(source)
        self._schedule()

    def release(self, ended: Running) -> None:
        """Tell the schedulers at the end of this tick that `ended` holds no credit any more."""
        self._ended.append(ended)
        self._schedule()

    def flush(self) -> None:
        """Publish everything now."""
        self._scheduled = False
        sources, self._sources = self._sources, []
        for source in sources:
            try:
                self.frames += source.flush(self._bus)
            except BusError as error:
                # The gateway will see the gap in `seq` and end the request with an error.
                log.warning("frame lost", error=str(error))
                source.lose()
        if self._ended:
            ended, self._ended = tuple(self._ended), []
            try:
                self._bus.publish(self._subject, _encode(Released(self._worker, ended)))
            except BusError as error:
                # The next beat names what still runs, which gives the credits back as well.
                log.warning("release lost", error=str(error), count=len(ended))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)
