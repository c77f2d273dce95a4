"""What operators see of workers, and that a cordoned one gets no new work, whoever is killed."""

import asyncio
import json

import pytest

from libs.contracts import subjects
from libs.contracts.scheduling import (
    CordonWorker,
    DrainWorker,
    FindWorkers,
    UncordonWorker,
    WorkerChanged,
    WorkerPage,
    WorkerRef,
    WorkerStatus,
)
from libs.kit.bus import BusClient
from libs.kit.errors import ServiceError
from libs.kit.scheduler_client import BusScheduler
from libs.testkit.nats_server import NatsServer
from libs.testkit.streams import jetstream
from libs.testkit.wait import eventually, until
from tests.integration.scheduler.doubles import WorkerDouble
from tests.integration.scheduler.stage import Stage, stage

LONG_S = 40.0


def _desk(on: Stage) -> BusScheduler:
    return BusScheduler(on.gateway.bus)


async def _alive(on: Stage, *workers: WorkerDouble) -> None:
    """Wait until whoever answers calls has heard of them."""

    async def known() -> bool | None:
        try:
            page: WorkerPage = await _desk(on).call("worker_list", FindWorkers())
        except ServiceError as error:
            if error.code != "scheduler_unavailable":
                raise
            return None
        return {worker.id for worker in workers} <= {one.id for one in page.workers} or None

    await eventually(known, timeout_s=LONG_S, what="beats")


async def _cordon(on: Stage, worker: str) -> WorkerChanged:
    changed: WorkerChanged = await _desk(on).call("worker_cordon", CordonWorker(id=worker, author="ops", reason="hot"))
    return changed


async def _uncordon(on: Stage, worker: str) -> WorkerChanged:
    changed: WorkerChanged = await _desk(on).call("worker_uncordon", UncordonWorker(id=worker, author="ops"))
    return changed


async def test_workers_are_listed_page_by_page_and_shown_with_what_they_run(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        workers = [await on.worker(f"w{number}") for number in range(3)]
        elsewhere = await on.worker("v9", pool="other")
        await _alive(on, *workers, elsewhere)
        first: WorkerPage = await _desk(on).call("worker_list", FindWorkers(pool="default", limit=2))
        second: WorkerPage = await _desk(on).call("worker_list", FindWorkers(pool="default", limit=2, after=first.next))
        assert [one.id for one in first.workers + second.workers] == ["w0", "w1", "w2"]
        assert (first.next, second.next) == ("w1", "")
        for worker in workers:
            worker.finishes_at_once = False
        request = on.gateway.submit()
        await until(lambda: any(worker.running for worker in workers))
        busy = next(worker for worker in workers if worker.running)

        async def shown() -> WorkerStatus | None:
            found: WorkerStatus = await _desk(on).call("worker_show", WorkerRef(busy.id))
            return found if found.requests else None

        found = await eventually(shown, timeout_s=LONG_S)
        assert (found.requests, found.running, found.credits, found.capacity) == ((request,), 1, 1, 2)
        assert (found.models, found.open, found.beat_age_ms < 60_000) == (("m",), True, True)
        busy.finish(request)


async def test_a_cordoned_worker_gets_nothing_new_and_gets_work_again_later(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        one, two = await on.worker("w1"), await on.worker("w2")
        await _alive(on, one, two)
        changed = await _cordon(on, "w1")
        assert changed.worker is not None
        assert changed.worker.cordon is not None
        assert (changed.worker.cordon.author, changed.worker.cordon.reason) == ("ops", "hot")
        assert (changed.worker.open, changed.worker.credits, changed.left, changed.warning) == (False, 0, 1, "")
        again = await _cordon(on, "w1")
        assert again.worker is not None
        assert again.worker.cordon == changed.worker.cordon
        requests = [on.gateway.submit(express=number % 2 == 0) for number in range(20)]
        await until(lambda: all(on.gateway.ended(each) for each in requests), timeout_s=LONG_S)
        assert (len(one.seen), len(two.seen)) == (0, 20)

        await _cordon(on, "w2")
        last = on.gateway.submit()
        await until(lambda: len(dispatcher.queue) == 1)
        freed = await _uncordon(on, "w1")
        assert (freed.left, freed.worker is not None and freed.worker.cordon is None) == (1, True)
        await until(lambda: on.gateway.ended(last), timeout_s=LONG_S)
        assert len(one.seen) == 1


async def test_the_last_worker_of_a_pool_may_be_cordoned_but_that_is_said(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        await _alive(on, await on.worker("w1"))
        changed = await _cordon(on, "w1")
        assert (changed.left, "No worker of the pool default" in changed.warning) == (0, True)


async def test_a_cordon_outlives_a_scheduler_that_is_killed_and_its_worker(nats: NatsServer) -> None:
    async with stage(nats) as on:
        process = on.scheduler_process()
        one, two = await on.worker("w1"), await on.worker("w2")
        await _alive(on, one, two)
        await _cordon(on, "w1")
        process.kill()
        await asyncio.to_thread(process.wait, 10)
        on.scheduler_process()
        requests = [on.gateway.submit() for _ in range(10)]
        await until(lambda: all(on.gateway.ended(each) for each in requests), timeout_s=LONG_S)
        assert (len(one.seen), len(two.seen)) == (0, 10)
        # Two schedulers of one pool obey the same cordons.
        await on.scheduler()
        await on.scheduler()
        more = [on.gateway.submit(express=True) for _ in range(10)]
        await until(lambda: all(on.gateway.ended(each) for each in more), timeout_s=LONG_S)
        assert len(one.seen) == 0

        await one.cut()

        async def gone() -> bool | None:
            page: WorkerPage = await _desk(on).call("worker_list", FindWorkers())
            return "w1" in [cordon.name for cordon in page.absent] or None

        await eventually(gone, timeout_s=LONG_S)
        assert await _uncordon(on, "w1") == WorkerChanged(left=1)


async def test_a_drain_under_load_fails_nothing_and_says_when_the_worker_is_idle(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        one, two = await on.worker("w1"), await on.worker("w2")
        await _alive(on, one, two)
        one.finishes_at_once = False
        requests = [on.gateway.submit() for _ in range(30)]
        await until(lambda: len(one.running) == one.capacity, timeout_s=LONG_S)
        waiting: WorkerChanged = await _desk(on).call("worker_drain", DrainWorker(id="w1", author="ops"))
        assert waiting.idle is False
        running = [run.request_id for run in one.running]
        requests += [on.gateway.submit() for _ in range(30)]
        draining = asyncio.create_task(_desk(on).call("worker_drain", DrainWorker(id="w1", author="ops", wait_s=20)))
        await until(lambda: all(on.gateway.ended(each) for each in requests if each not in running), timeout_s=LONG_S)
        assert sorted(run.request_id for run in one.running) == sorted(running)
        for each in running:
            one.finish(each)
        drained: WorkerChanged = await draining
        assert (drained.idle, drained.left, drained.warning) == (True, 1, "")
        await until(lambda: all(on.gateway.ended(each) for each in requests), timeout_s=LONG_S)
        assert {on.gateway.end(each).status for each in requests} == {200}
        assert len(one.seen) == one.capacity


async def test_what_cannot_be_is_refused(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        worker = await on.worker("w1")
        await _alive(on, worker)
        for operation, request in (
            ("worker_show", WorkerRef("nobody")),
            ("worker_cordon", CordonWorker(id="nobody", author="ops")),
            ("worker_uncordon", UncordonWorker(id="nobody", author="ops")),
            ("worker_drain", DrainWorker(id="../w1", author="ops")),
        ):
            with pytest.raises(ServiceError) as refused:
                await _desk(on).call(operation, request)
            assert refused.value.code == "not_found", operation
        changed = await _cordon(on, "w1")
        assert changed.worker is not None
        stale = UncordonWorker(id="w1", author="ops", expected_revision=changed.worker.revision - 1)
        with pytest.raises(ServiceError) as late:
            await _desk(on).call("worker_uncordon", stale)
        assert late.value.code == "conflict"
        right = UncordonWorker(id="w1", author="ops", expected_revision=changed.worker.revision)
        await _desk(on).call("worker_uncordon", right)
        answer = await on.gateway.bus.request(subjects.scheduler_call("worker_cordon"), b"{nonsense", timeout_s=20)
        assert json.loads(answer.payload)["error"]["code"] == "invalid_json"


async def test_a_bucket_that_holds_nonsense_or_is_missing_keeps_nobody_from_work(private_nats: NatsServer) -> None:
    bus = BusClient(private_nats.options("scheduler"))
    await bus.connect()
    bus.publish(subjects.cordon("default", "w1"), b"nonsense")
    await bus.flush()
    await bus.close()
    async with stage(private_nats) as on:
        await on.scheduler()
        worker = await on.worker("w1")
        await _alive(on, worker)
        request = on.gateway.submit()
        await until(lambda: on.gateway.ended(request), timeout_s=LONG_S)
        assert (await _cordon(on, "w1")).worker is not None
    async with jetstream(private_nats) as context:
        await context.delete_stream("KV_cordons")
    async with stage(private_nats) as on:
        await on.scheduler()
        worker = await on.worker("w1")
        await _alive(on, worker)
        with pytest.raises(ServiceError) as refused:
            await _cordon(on, "w1")
        assert refused.value.code == "storage_unavailable"
        request = on.gateway.submit()
        await until(lambda: on.gateway.ended(request), timeout_s=LONG_S)


def test_a_name_that_is_no_token_has_a_place_of_its_own() -> None:
    places = {subjects.cordon("p", name) for name in ("a", "a.b", "a b", "*", ">", "_x", "", "ü")}
    assert len(places) == 8
    assert all(place.count(".") == 3 and "*" not in place and ">" not in place for place in places)
