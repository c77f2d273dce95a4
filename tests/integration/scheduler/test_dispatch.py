"""The scheduler on a real bus: order, bounds, deadlines, cancels, refusals."""

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag, make_attempt
from libs.contracts.inference import Handover, ServiceClass, WorkerState
from libs.kit.bus import encode_headers
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from tests.integration.scheduler.doubles import ENVELOPE, executions
from tests.integration.scheduler.stage import stage

REALTIME, STANDARD, BATCH = ServiceClass


async def test_a_request_reaches_a_worker_unchanged_and_leaves_the_stream(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200
        assert worker.seen[0].body == request_id.encode()
        assert worker.seen[0].attempt == make_attempt(0, 1, 1)
        await until(lambda: len(dispatcher.ledger) == 0)
        await until(lambda: dispatcher.registry.workers["w1"].credits == 2)


async def test_one_answer_may_accept_several_requests(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=3)
        worker.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=60.0)
        await on.known(dispatcher, worker)
        for _ in range(3):
            on.gateway.submit()
        await until(lambda: len(worker.seen) == 3)
        first, *others = worker.seen
        tokens = [subjects.split_scheduler_reply(run.reply)[1] for run in others]
        worker.answer(first, Handover(accepted=True, also=(*tokens, "0-unknown")))
        await until(lambda: dispatcher.stats.accepted == 3)
        assert len(dispatcher.ledger) == 0


async def test_classes_go_in_order_and_age_decides_within_one(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=1)
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        first = on.gateway.submit()
        await until(lambda: len(worker.running) == 1)
        wanted: dict[ServiceClass, list[str]] = {REALTIME: [], STANDARD: [], BATCH: []}
        for service_class in (BATCH, STANDARD, REALTIME, BATCH, STANDARD, REALTIME):
            wanted[service_class].append(on.gateway.submit(service_class))
        await until(lambda: len(dispatcher.queue) == 6)
        worker.finishes_at_once = True
        worker.finish(first)
        await until(lambda: len(worker.seen) == 7)
        served = [run.envelope.request_id for run in worker.seen[1:]]
        assert served == wanted[REALTIME] + wanted[STANDARD] + wanted[BATCH]


async def test_realtime_is_seen_behind_more_batch_than_may_be_held(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        for _ in range(5_000):
            on.gateway.submit(BATCH)
        await until(lambda: dispatcher.queue.depth(BATCH) == 4_096, timeout_s=30)
        urgent = on.gateway.submit(REALTIME)
        await until(lambda: urgent in dispatcher.queue)
        worker = await on.worker("w1")
        await until(lambda: len(worker.seen) > 0)
        assert worker.seen[0].envelope.request_id == urgent
        await until(lambda: dispatcher.stats.accepted == 5_001, timeout_s=30)
        assert dispatcher.queue.depth(BATCH) == 0


async def test_load_spreads_over_workers_and_never_exceeds_their_capacity(nats: NatsServer) -> None:
    async with stage(nats) as on:
        workers = [await on.worker(name, capacity=3) for name in ("w1", "w2")]
        for worker in workers:
            worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        await on.known(dispatcher, *workers)
        for _ in range(10):
            on.gateway.submit()
        await until(lambda: dispatcher.stats.accepted == 6 and len(dispatcher.queue) == 4)
        assert [len(worker.running) for worker in workers] == [3, 3]
        assert dispatcher.stats.refused.total() == 0


async def test_a_request_for_a_model_that_nobody_serves_waits_and_blocks_nobody(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=1)
        dispatcher = await on.scheduler()
        lost = on.gateway.submit(REALTIME, model="later")
        served = [on.gateway.submit(BATCH) for _ in range(5)]
        await until(lambda: all(on.gateway.ended(request_id) for request_id in served))
        assert lost in dispatcher.queue
        newcomer = await on.worker("w2", models=("m", "later"))
        await until(lambda: on.gateway.ended(lost))
        assert executions([worker, newcomer], lost) == [("w2", make_attempt(0, 1, 1))]


async def test_a_request_that_waited_too_long_ends_with_an_error(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        late = on.gateway.submit(start_within_ms=-1)
        soon = on.gateway.submit(start_within_ms=150)
        patient = on.gateway.submit()
        await until(lambda: on.gateway.ended(late) and on.gateway.ended(soon))
        for request_id in (late, soon):
            frame = on.gateway.end(request_id)
            assert frame.flags == Flag.ERROR | Flag.LAST
            assert (frame.status, frame.meta.code, frame.seq) == (503, "queue_timeout", 0)
        assert patient in dispatcher.queue
        assert len(dispatcher.ledger) == 1


async def test_a_cancelled_request_leaves_the_queue(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        other = on.gateway.submit()
        await until(lambda: len(dispatcher.queue) == 2)
        on.gateway.cancel(request_id)
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).flags == Flag.CANCELLED | Flag.LAST
        worker = await on.worker("w1")
        await until(lambda: on.gateway.ended(other))
        assert executions([worker], request_id) == []


async def test_a_cancel_that_overtakes_its_request_still_counts(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        on.gateway.cancel("0123456789abcdef01234567")
        await on.gateway.bus.flush()
        on.gateway.submit(request_id="0123456789abcdef01234567")
        await until(lambda: on.gateway.ended("0123456789abcdef01234567"))
        assert on.gateway.end("0123456789abcdef01234567").flags & Flag.CANCELLED
        assert worker.seen == []


async def test_a_cancel_of_one_execution_is_the_workers_business(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        await until(lambda: request_id in dispatcher.queue)
        on.gateway.cancel(request_id, make_attempt(0, 9, 9))
        await on.worker("w1")
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200


async def test_a_request_cancelled_during_its_hand_over_is_cancelled_at_the_worker_again(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood, worker.finishes_at_once = "silent", False
        dispatcher = await on.scheduler(accept_timeout_s=5.0)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit()
        await until(lambda: len(worker.seen) == 1)
        on.gateway.cancel(request_id)
        await until(lambda: worker.cancels == [request_id])
        worker.accept(worker.seen[0])
        await until(lambda: worker.cancels == [request_id, request_id])
        await until(lambda: not worker.running and len(dispatcher.ledger) == 0)


async def test_a_request_cancelled_during_a_hand_over_that_fails_is_not_offered_again(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=5.0)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit()
        await until(lambda: len(worker.seen) == 1)
        on.gateway.cancel(request_id)
        await until(lambda: worker.cancels == [request_id])
        worker.answer(worker.seen[0], Handover(accepted=False, reason="full"))
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).flags == Flag.CANCELLED | Flag.LAST
        assert len(worker.seen) == 1


@pytest.mark.parametrize("reason", ["full", "draining"])
async def test_a_refused_request_goes_to_another_worker(nats: NatsServer, reason: str) -> None:
    async with stage(nats) as on:
        refusing, other = await on.worker("w1"), await on.worker("w2")
        refusing.mood = reason  # type: ignore[assignment] # one of the moods, by parametrization
        refusing.beating = False
        dispatcher = await on.scheduler()
        refusing.beating = True
        refusing.beat()
        await on.known(dispatcher, refusing, other)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert executions([refusing, other], request_id) == [
            ("w1", make_attempt(0, 1, 1)),
            ("w2", make_attempt(0, 1, 1)),
        ]
        assert dispatcher.stats.refused == {reason: 1}


@pytest.mark.parametrize(
    ("reason", "code", "status"), [("unknown_model", "model_not_found", 404), ("invalid", "invalid_value", 400)]
)
async def test_a_request_refused_for_good_ends_with_its_error(
    nats: NatsServer, reason: str, code: str, status: int
) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood = reason  # type: ignore[assignment] # one of the moods, by parametrization
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        frame = on.gateway.end(request_id)
        assert (frame.flags, frame.status, frame.meta.code) == (Flag.ERROR | Flag.LAST, status, code)
        assert len(dispatcher.ledger) == 0
        assert dispatcher.registry.workers["w1"].credits == 2


async def test_a_draining_worker_gets_nothing_new_and_a_stopped_one_is_forgotten(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        worker.state = WorkerState.DRAINING
        worker.beat()
        await worker.bus.flush()
        request_id = on.gateway.submit()
        await until(lambda: request_id in dispatcher.queue)
        worker.state = WorkerState.STOPPED
        worker.beat()
        await until(lambda: not dispatcher.registry.workers)
        assert on.gateway.lost_workers == []
        assert worker.seen == []


async def test_a_message_that_cannot_be_read_leaves_the_stream_and_its_sender_hears_why(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        subject = subjects.submit("default", STANDARD)
        reply = subjects.gateway_reply(on.gateway.id, "r1")
        on.gateway.bus.publish(subject, b"no envelope")
        for envelope in (b"{", b"[]", b'{"reply":"$JS.API.STREAM.DELETE.X"}', msgspec.json.encode({"reply": reply})):
            on.gateway.bus.publish(subject, b"bad", headers=encode_headers([(ENVELOPE, envelope)]))
        await until(lambda: dispatcher.stats.invalid == 5)
        await until(lambda: on.gateway.ended("r1"))
        frame = on.gateway.end("r1")
        assert (frame.status, frame.meta.code) == (500, "internal_error")
        good = on.gateway.submit()
        await until(lambda: good in dispatcher.queue)
        assert len(dispatcher.ledger) == 1


async def test_the_same_submission_twice_runs_once_and_a_newer_retry_replaces_the_older(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        await until(lambda: request_id in dispatcher.queue)
        on.gateway.histories[request_id].retry = 1
        on.gateway.submit(request_id=request_id, retry=1)
        await until(lambda: dispatcher.stats.pulled == 2)
        assert len(dispatcher.queue) == 1
        worker = await on.worker("w1")
        await until(lambda: on.gateway.ended(request_id))
        assert executions([worker], request_id) == [("w1", make_attempt(1, 1, 1))]


async def test_a_message_that_comes_again_after_its_request_was_accepted_is_not_run_again(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        request_id = on.gateway.submit()
        await until(lambda: dispatcher.stats.accepted == 1)
        on.gateway.submit(request_id=request_id, repeat=True)
        await until(lambda: dispatcher.stats.repeated == 1)
        later = on.gateway.submit()
        await until(lambda: dispatcher.stats.accepted == 2)
        assert [run.envelope.request_id for run in worker.seen] == [request_id, later]
        assert len(dispatcher.ledger) == 0
