"""What operators see of queues, and that what they call off ends once, for its client and in the stream."""

import asyncio

import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag
from libs.contracts.inference import Handover, ServiceClass
from libs.contracts.scheduling import (
    CancelRequest,
    FindQueues,
    FindRequests,
    PoolPage,
    PurgeQueue,
    QueuePurged,
    RequestCancelled,
    RequestPage,
    WaitingRequest,
)
from libs.contracts.topology import CMD_INFERENCE
from libs.kit.errors import ServiceError
from libs.kit.scheduler_client import BusScheduler
from libs.testkit.nats_server import NatsServer
from libs.testkit.streams import stream_state
from libs.testkit.wait import eventually, until
from tests.integration.scheduler.stage import Stage, stage

LONG_S = 40.0
REALTIME, STANDARD, BATCH = ServiceClass


def _desk(on: Stage) -> BusScheduler:
    return BusScheduler(on.gateway.bus)


async def _cancel(on: Stage, request_id: str) -> RequestCancelled:
    cancelled: RequestCancelled = await _desk(on).call("request_cancel", CancelRequest(request_id, "ops"))
    return cancelled


async def _purge(on: Stage, service_class: ServiceClass | None = None) -> int:
    asked = PurgeQueue(pool="default", author="ops", service_class=service_class)
    purged: QueuePurged = await _desk(on).call("queue_purge", asked)
    return purged.requests


async def _stored(on: Stage, count: int) -> None:
    """Wait until the stream holds so many requests."""

    async def look() -> bool | None:
        return (await stream_state(on.server, CMD_INFERENCE.name)).messages == count or None

    await eventually(look, timeout_s=LONG_S, what=f"{count} stored requests")


def _told(on: Stage, request_id: str) -> str:
    """The code with which a request ended, once."""
    frame = on.gateway.end(request_id)
    assert frame.flags & Flag.ERROR
    return frame.meta.code


async def test_what_waits_is_counted_by_class_and_listed_page_by_page(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        batch = [on.gateway.submit(BATCH) for _ in range(3)]
        urgent = [on.gateway.submit(REALTIME) for _ in range(2)]
        await _stored(on, 5)
        page: PoolPage = await _desk(on).call("queue_list", FindQueues())
        (pool,) = page.pools
        assert (pool.pool, pool.waiting, pool.workers, pool.open) == ("default", 5, 0, 0)
        assert {queue.service_class: queue.depth for queue in pool.queues} == {REALTIME: 2, STANDARD: 0, BATCH: 3}
        assert all(0 <= queue.oldest_ms < 60_000 for queue in pool.queues)

        found: list[WaitingRequest] = []
        after = 0
        while True:
            part: RequestPage = await _desk(on).call("request_list", FindRequests(pool="default", after=after, limit=2))
            found += part.requests
            after = part.next
            if not after:
                break
        assert [one.id for one in found] == batch + urgent
        assert {(one.tenant, one.model, one.size_bytes) for one in found} == {("t", "m", 24)}
        only: RequestPage = await _desk(on).call("request_list", FindRequests(pool="default", service_class=REALTIME))
        assert ([one.id for one in only.requests], only.next) == (urgent, 0)
        await _purge(on)


async def test_a_request_that_waits_is_cancelled_and_its_client_is_told_once(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        await on.scheduler()
        first, second = on.gateway.submit(), on.gateway.submit()
        await until(lambda: on.gateway.histories[second].stored)
        assert await _cancel(on, first) == RequestCancelled(id=first, was="waiting")
        await until(lambda: on.gateway.ended(first), timeout_s=LONG_S)
        assert _told(on, first) == "cancelled_by_operator"
        await _stored(on, 1)
        with pytest.raises(ServiceError) as again:
            await _cancel(on, first)
        assert again.value.code == "not_found"
        worker = await on.worker("w1")
        await on.known(dispatcher, worker)
        await until(lambda: on.gateway.ended(second), timeout_s=LONG_S)
        assert [run.envelope.request_id for run in worker.seen] == [second]


async def test_a_request_that_runs_is_cancelled_by_its_worker(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        worker = await on.worker("w1")
        worker.finishes_at_once = False
        await on.known(dispatcher, worker)
        request, other = on.gateway.submit(), on.gateway.submit()
        await until(lambda: dispatcher.stats.accepted == 2)
        assert await _cancel(on, request) == RequestCancelled(id=request, was="running", worker="w1")
        await until(lambda: on.gateway.ended(request), timeout_s=LONG_S)
        assert _told(on, request) == "cancelled_by_operator"
        await until(lambda: dispatcher.registry.workers["w1"].credits == 1)
        worker.finish(other)
        await until(lambda: on.gateway.ended(other))


async def test_a_request_is_cancelled_while_a_worker_is_asked(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler(accept_timeout_s=60.0)
        worker = await on.worker("w1")
        worker.mood = "silent"
        await on.known(dispatcher, worker)
        accepted, refused = on.gateway.submit(), on.gateway.submit()
        await until(lambda: len(worker.seen) == 2)
        for each in (accepted, refused):
            assert (await _cancel(on, each)).was == "waiting"
        await until(lambda: all(dispatcher.ledger.get(each).cancelled for each in (accepted, refused)))  # type: ignore[union-attr]
        worker.finishes_at_once = False
        runs = {run.envelope.request_id: run for run in worker.seen}
        worker.accept(runs[accepted])
        worker.answer(runs[refused], _refusal())
        await until(lambda: on.gateway.ended(accepted) and on.gateway.ended(refused), timeout_s=LONG_S)
        assert {_told(on, each) for each in (accepted, refused)} == {"cancelled_by_operator"}
        assert not worker.running


def _refusal() -> Handover:
    return Handover(accepted=False, reason="full")


async def test_a_request_that_no_scheduler_has_taken_out_of_the_stream_is_cancelled(nats: NatsServer) -> None:
    async with stage(nats) as on:
        # It serves another pool, so nobody pulls these.
        process = on.scheduler_process(SCHEDULER_POOLS='["elsewhere"]')
        request, other = on.gateway.submit(), on.gateway.submit()
        await _stored(on, 2)
        await _answered(on)
        assert await _cancel(on, request) == RequestCancelled(id=request, was="waiting")
        await until(lambda: on.gateway.ended(request), timeout_s=LONG_S)
        assert _told(on, request) == "cancelled_by_operator"
        await _stored(on, 1)
        assert await _purge(on) == 1
        await until(lambda: on.gateway.ended(other), timeout_s=LONG_S)
        assert process.poll() is None


async def _answered(on: Stage) -> None:
    """Wait until a scheduler answers calls."""

    async def look() -> PoolPage | None:
        try:
            page: PoolPage = await _desk(on).call("queue_list", FindQueues())
        except ServiceError:
            return None
        return page

    await eventually(look, timeout_s=LONG_S, what="a scheduler")


async def test_a_purge_ends_what_waits_once_and_nothing_that_runs(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        await on.scheduler()
        worker = await on.worker("w1")
        worker.finishes_at_once = False
        await on.known(dispatcher, worker)
        running = [on.gateway.submit() for _ in range(2)]
        await until(lambda: len(worker.running) == 2)
        kept = [on.gateway.submit(REALTIME) for _ in range(5)]
        gone = [on.gateway.submit(BATCH) for _ in range(300)]
        await _stored(on, 305)
        assert await _purge(on, BATCH) == 300
        await until(lambda: all(on.gateway.ended(each) for each in gone), timeout_s=LONG_S)
        assert {_told(on, each) for each in gone} == {"cancelled_by_operator"}
        await _stored(on, 5)
        assert await _purge(on, BATCH) == 0
        worker.finishes_at_once = True
        for each in running:
            worker.finish(each)
        await until(lambda: all(on.gateway.ended(each) for each in running + kept), timeout_s=LONG_S)
        assert {on.gateway.end(each).status for each in running + kept} == {200}
        assert not any(on.gateway.histories[each].accepted for each in gone)


async def test_a_purge_ends_what_a_killed_scheduler_held(nats: NatsServer) -> None:
    async with stage(nats) as on:
        process = on.scheduler_process()
        requests = [on.gateway.submit() for _ in range(50)]
        await _stored(on, 50)
        await _answered(on)
        process.kill()
        await asyncio.to_thread(process.wait, 10)
        with pytest.raises(ServiceError) as away:
            await _purge(on)
        assert away.value.code == "scheduler_unavailable"
        on.scheduler_process()
        await _answered(on)
        # Still leased to the one that is dead.
        assert await _purge(on) == 50
        await until(lambda: all(on.gateway.ended(each) for each in requests), timeout_s=LONG_S)
        assert {_told(on, each) for each in requests} == {"cancelled_by_operator"}
        worker = await on.worker("w1")
        last = on.gateway.submit()
        await until(lambda: on.gateway.ended(last), timeout_s=LONG_S)
        assert [run.envelope.request_id for run in worker.seen] == [last]


async def test_what_a_gateway_has_just_handed_over_itself_is_found_and_ended(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit(direct="w1")
        await until(lambda: bool(worker.running))
        assert await _cancel(on, request_id) == RequestCancelled(id=request_id, was="running", worker="w1")
        await until(lambda: on.gateway.ended(request_id))
        assert _told(on, request_id) == "cancelled_by_operator"


async def test_what_is_not_there_is_refused_and_nonsense_harms_nobody(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        for operation, request in (
            ("request_cancel", CancelRequest("0" * 24, "ops")),
            ("request_cancel", CancelRequest("a.b *", "ops")),
            ("queue_list", FindQueues("nowhere")),
            ("request_list", FindRequests(pool="no.where")),
            ("queue_purge", PurgeQueue(pool="*", author="ops")),
        ):
            with pytest.raises(ServiceError) as refused:
                await _desk(on).call(operation, request)
            assert refused.value.code == "not_found", operation
        on.gateway.bus.publish(subjects.submit("default", STANDARD), b"no envelope")
        on.gateway.bus.publish(subjects.cancel("x"), b"nonsense")
        request_id = on.gateway.submit()
        page: RequestPage = await _desk(on).call("request_list", FindRequests(pool="default"))
        assert [one.id for one in page.requests] in ([], [request_id])
        await on.known(dispatcher, await on.worker("w1"))
        await until(lambda: on.gateway.ended(request_id), timeout_s=LONG_S)
