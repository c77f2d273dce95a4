"""Answers calls about what waits, and calls requests off for operators."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.inference import Cancel, ServiceClass, WorkerState
from libs.contracts.scheduling import (
    CancelRequest,
    FindQueues,
    FindRequests,
    PoolPage,
    PoolStatus,
    PurgeQueue,
    QueuePurged,
    QueueStatus,
    RequestCancelled,
    RequestPage,
    WaitingRequest,
)
from libs.kit import clock
from libs.kit.answering import Operation
from libs.kit.bus import BusClient, BusError
from libs.kit.errors import ServiceError
from services.scheduler.admin.cordons import Cordons
from services.scheduler.admin.directory import Directory
from services.scheduler.admin.stored import StoredRequests, Waiting, pattern
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.ledger import CANCELLED_BY_OPERATOR

_MAX_PAGE: Final = 200
_MAX_SHOWN: Final = 80
_PATIENCE_S: Final = 1.5
"""What has not left the stream by then is held by no scheduler that hears, and is taken out of it."""
_LOOK_S: Final = 0.1
_BY_OPERATOR: Final = msgspec.json.encode(Cancel(by_operator=True))


class Queues:
    """Answers for the queues of every pool: what waits is in the stream, whoever holds it."""

    def __init__(
        self,
        bus: BusClient,
        stored: StoredRequests,
        directory: Directory,
        cordons: Cordons,
        dispatchers: Sequence[Dispatcher],
    ) -> None:
        self._bus = bus
        self._stored = stored
        self._directory = directory
        self._cordons = cordons
        self._dispatchers = dispatchers

    def operations(self) -> dict[str, Operation]:
        """The calls that are answered here."""
        return {
            "queue_list": self.list,
            "request_list": self.requests,
            "request_cancel": self.cancel,
            "queue_purge": self.purge,
        }

    async def list(self, wanted: FindQueues) -> PoolPage:
        """Every pool, or one, with what waits in each class of it."""
        depths = await self._stored.depths()
        if wanted.pool:
            self._check_pool(wanted.pool, depths)
        pools = [wanted.pool] if wanted.pool else sorted(self._pools(depths))
        return PoolPage(tuple([await self._pool(pool, depths) for pool in pools]))

    async def requests(self, wanted: FindRequests) -> RequestPage:
        """What waits in a pool, oldest first."""
        self._check_pool(wanted.pool, await self._stored.depths())
        limit = min(max(1, wanted.limit), _MAX_PAGE)
        where = pattern(wanted.pool, wanted.service_class)
        found = await self._stored.page(where, max(0, wanted.after), limit)
        now_ms = clock.unix_ms()
        shown = tuple(_shown(one, now_ms) for one in found)
        # A page is also over when it has become large.
        more = bool(shown) and await self._stored.last(where) > shown[-1].place
        return RequestPage(shown, shown[-1].place if more else 0)

    async def cancel(self, wanted: CancelRequest) -> RequestCancelled:
        """Call one request off; its client hears `cancelled_by_operator`."""
        request_id = wanted.id
        if not subjects.is_token(request_id):
            raise _unknown(request_id)
        held = any(request_id in dispatcher.ledger for dispatcher in self._dispatchers)
        waiting = None if held else await self._find(request_id)
        worker = "" if held or waiting else await self._running_at(request_id)
        if not (held or waiting or worker):
            # One that a worker was handed directly, and refused, was on its way into the stream.
            waiting = await self._find(request_id)
            if waiting is None:
                raise _unknown(request_id)
        # Whoever holds it, or works on it, hears this; also another scheduler.
        self._call_off(request_id)
        if waiting is not None:
            await self._leave(waiting)
        return RequestCancelled(id=request_id, was="running" if worker else "waiting", worker=worker)

    async def purge(self, wanted: PurgeQueue) -> QueuePurged:
        """Call off what waits now, and answer when all of it is out of the stream; what runs is let alone."""
        self._check_pool(wanted.pool, await self._stored.depths())
        where = pattern(wanted.pool, wanted.service_class)
        until = await self._stored.last(where)
        ended: set[int] = set()
        began_s = clock.monotonic_s()
        while left := [waiting async for waiting in self._stored.all(where, until)]:
            for waiting in left:
                ended.add(waiting.place)
                self._call_off(waiting.envelope.request_id)
                if clock.monotonic_s() - began_s > _PATIENCE_S:
                    await self._take_out(waiting)
            await asyncio.sleep(_LOOK_S)
        return QueuePurged(len(ended))

    def _call_off(self, request_id: str) -> None:
        self._say(subjects.cancel(request_id), _BY_OPERATOR)

    def _say(self, subject: str, payload: bytes) -> None:
        try:
            self._bus.publish(subject, payload)
        except BusError as error:
            raise ServiceError("bus_unavailable", f"It cannot be called off now: {error}.", retry_after_s=1) from error

    async def _leave(self, waiting: Waiting) -> None:
        """Return when the stream does not hold it any more."""
        began_s = clock.monotonic_s()
        where = pattern(waiting.envelope.pool, waiting.envelope.service_class)
        while any(one.place == waiting.place for one in await self._stored.page(where, waiting.place - 1, 1)):
            if clock.monotonic_s() - began_s > _PATIENCE_S:
                await self._take_out(waiting)
            await asyncio.sleep(_LOOK_S)

    async def _take_out(self, waiting: Waiting) -> None:
        """End it towards its gateway and forget it: no scheduler that hears it has it, so nobody else would."""
        self._dispatchers[0].end_stored(waiting.envelope, *CANCELLED_BY_OPERATOR)
        await self._stored.forget(waiting.place)

    async def _running_at(self, request_id: str) -> str:
        """The worker that runs it; all are asked if none has named it: of direct requests only beats tell."""
        worker = self._worker_of(request_id)
        if worker or not self._bus.connected:
            return worker
        asked_s = clock.monotonic_s()
        self._say(subjects.REPORT, b"")
        while not worker and any(heard.at_s < asked_s for heard in self._directory.all()):
            if clock.monotonic_s() - asked_s > _PATIENCE_S:
                break
            await asyncio.sleep(_LOOK_S)
            worker = self._worker_of(request_id)
        return worker or self._worker_of(request_id)

    def _worker_of(self, request_id: str) -> str:
        for dispatcher in self._dispatchers:
            for worker in dispatcher.registry.workers.values():
                if any(execution[0] == request_id for execution in worker.assigned):
                    return worker.id
        return self._directory.running(request_id)

    async def _find(self, request_id: str) -> Waiting | None:
        where = f"{subjects.SUBMIT_PREFIX}.>"
        until = await self._stored.last(where)
        async for waiting in self._stored.all(where, until):
            if waiting.envelope.request_id == request_id:
                return waiting
        return None

    def _pools(self, depths: dict[tuple[str, str], int]) -> set[str]:
        served = {dispatcher.pool for dispatcher in self._dispatchers}
        return served | {pool for pool, _ in depths} | {heard.beat.pool for heard in self._directory.all()}

    def _check_pool(self, pool: str, depths: dict[tuple[str, str], int]) -> None:
        if pool not in self._pools(depths):
            raise ServiceError("not_found", f"There is no pool `{pool[:_MAX_SHOWN]}`.", param="pool")

    async def _pool(self, pool: str, depths: dict[tuple[str, str], int]) -> PoolStatus:
        beats = [heard.beat for heard in self._directory.all(pool)]
        cordoned = self._cordons.names(pool)
        open_ = [beat for beat in beats if beat.state is WorkerState.READY and beat.name not in cordoned]
        queues = tuple([await self._queue(pool, each, depths.get((pool, each), 0)) for each in ServiceClass])
        return PoolStatus(
            pool=pool,
            workers=len(beats),
            open=sum(beat.capacity > len(beat.running) for beat in open_),
            capacity=sum(beat.capacity for beat in beats),
            running=sum(len(beat.running) for beat in beats),
            waiting=sum(queue.depth for queue in queues),
            queues=queues,
        )

    async def _queue(self, pool: str, service_class: ServiceClass, depth: int) -> QueueStatus:
        first = await self._stored.page(pattern(pool, service_class), 0, 1) if depth else []
        oldest_ms = max(0, clock.unix_ms() - first[0].envelope.submitted_ms) if first else 0
        return QueueStatus(pool=pool, service_class=service_class, depth=depth, oldest_ms=oldest_ms)


def _shown(waiting: Waiting, now_ms: int) -> WaitingRequest:
    envelope = waiting.envelope
    return WaitingRequest(
        id=envelope.request_id,
        place=waiting.place,
        tenant=envelope.tenant,
        model=envelope.model,
        route=envelope.route,
        service_class=envelope.service_class,
        waited_ms=max(0, now_ms - envelope.submitted_ms),
        left_ms=max(0, envelope.start_by_ms - now_ms),
        size_bytes=waiting.size_bytes,
        retry=envelope.retry,
        stream=envelope.stream,
    )


def _unknown(request_id: str) -> ServiceError:
    return ServiceError("not_found", f"The request `{request_id[:_MAX_SHOWN]}` neither waits nor runs.")
