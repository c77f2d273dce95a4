"""After the bus was away: which waiting requests a worker has taken without this gateway having heard of it.

A server that is killed may have passed a worker's acceptance on to the scheduler and not to the gateway. The scheduler
then takes the request out of the stream, the frames are lost, and nobody would ever answer. The stream knows: what is
in it waits, and what has left it was accepted.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.kit.bus import BusClient, BusError, status_of
from services.gateway.inflight import UNPINNED, InFlight
from services.gateway.relay import Relay

log = structlog.get_logger(__name__)

_PAUSE_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
_AT_ONCE: Final = 32
_NOT_FOUND: Final = 404


class Doubts:
    """Looks after what was unanswered when the connection came back, until it is known where it is."""

    def __init__(self, bus: BusClient, relay: Relay, *, pause_s: float = _PAUSE_S) -> None:
        self._bus = bus
        self._relay = relay
        self._pause_s = pause_s
        self._open: dict[InFlight, int] = {}
        """Doubtful requests, each with the `retry` whose fate is asked for."""
        self._gone: set[InFlight] = set()
        """Those of them that had left the stream at the last look."""
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def begin(self) -> None:
        """Doubt everything that waits; to be called when the connection has come back."""
        for inflight in self._relay.requests():
            if _waits(inflight):
                self._open[inflight] = inflight.envelope.retry
        if self._open and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._settle(), name="gateway-doubts")

    async def stop(self) -> None:
        """Doubt nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _settle(self) -> None:
        while self._open:
            await asyncio.sleep(self._pause_s)
            looks = [self._look(inflight, retry) for inflight, retry in self._open.items()]
            for fault in await asyncio.gather(*looks, return_exceptions=True):
                if isinstance(fault, Exception):
                    # Looked at again: without these looks requests would wait for nothing.
                    log.error("look failed", exc_info=fault)
            for inflight in [
                one for one, retry in self._open.items() if not _waits(one) or one.envelope.retry != retry
            ]:
                self._settled(inflight)

    async def _look(self, inflight: InFlight, retry: int) -> None:
        """Clear one doubt, or make sure: an acceptance may be on its way, so "gone" is believed the second time."""
        if not inflight.stored_seq:
            # It is being submitted again; the acknowledgement says where it is, or was.
            return
        async with self._gate:
            is_stored = await self._is_stored(inflight.stored_seq)
        if is_stored is None or not _waits(inflight) or inflight.envelope.retry != retry:
            return
        if is_stored:
            self._settled(inflight)
        elif inflight not in self._gone:
            self._gone.add(inflight)
        else:
            self._relay.lose(inflight, "taken while the bus was lost", dead=False)

    def _settled(self, inflight: InFlight) -> None:
        self._open.pop(inflight, None)
        self._gone.discard(inflight)

    async def _is_stored(self, sequence: int) -> bool | None:
        """Whether the stream still holds that message; None if it does not say."""
        payload = msgspec.json.encode({"seq": sequence})
        try:
            answer = await self._bus.request(subjects.SUBMITTED_GET, payload, timeout_s=_TIMEOUT_S)
        except BusError as error:
            log.warning("the stream does not say what waits", sequence=sequence, error=str(error))
            return None
        status = status_of(answer.headers)
        return None if status not in (0, _NOT_FOUND) else status == 0


def _waits(inflight: InFlight) -> bool:
    """Whether nobody is known to have taken it."""
    return not inflight.ended and inflight.attempt == UNPINNED
