"""Requests that come past the stream: handed over at once, or put into the stream, and never anywhere in between."""

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag, make_attempt
from libs.kit.bus import encode_headers
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from tests.integration.scheduler.doubles import ENVELOPE, executions
from tests.integration.scheduler.stage import stage


async def test_with_room_a_worker_has_it_and_the_stream_never_saw_it(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit(express=True)
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200
        assert worker.seen[0].body == request_id.encode()
        assert worker.seen[0].attempt == make_attempt(0, 0, 1)
        assert not on.gateway.histories[request_id].stored
        assert (dispatcher.stats.pulled, dispatcher.stats.express, dispatcher.stats.stored) == (0, 1, 0)
        await until(lambda: len(dispatcher.ledger) == 0)


async def test_without_room_it_waits_in_the_stream_and_the_gateway_is_told(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=1)
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        first, second = on.gateway.submit(express=True), on.gateway.submit(express=True)
        await until(lambda: on.gateway.histories[second].stored, what="the stream's acknowledgement")
        assert not on.gateway.histories[first].stored
        await until(lambda: second in dispatcher.queue, what="its way back out of the stream")
        worker.finish(first)
        await until(lambda: len(worker.seen) == 2)
        assert executions([worker], second) == [("w1", make_attempt(0, 1, 1))]
        assert dispatcher.stats.stored == 1


async def test_what_waits_is_not_overtaken(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=1)
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        running, waiting = on.gateway.submit(express=True), on.gateway.submit()
        await until(lambda: waiting in dispatcher.queue)
        late = on.gateway.submit(express=True)
        await until(lambda: late in dispatcher.queue)
        worker.finishes_at_once = True
        worker.finish(running)
        await until(lambda: len(worker.seen) == 3)
        assert [run.envelope.request_id for run in worker.seen] == [running, waiting, late]


@pytest.mark.parametrize("mood", ["silent", "full", "draining"])
async def test_an_offer_in_vain_puts_it_into_the_stream(nats: NatsServer, mood: str) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood = mood  # type: ignore[assignment] # one of its moods
        dispatcher = await on.scheduler(accept_timeout_s=0.1)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit(express=True)
        await until(lambda: on.gateway.histories[request_id].stored, what="the stream's acknowledgement")
        worker.mood = "accept"
        await until(lambda: on.gateway.ended(request_id))
        attempts = [attempt for _, attempt in executions([worker], request_id)]
        assert attempts[0] == make_attempt(0, 0, 1)
        assert len(set(attempts)) == len(attempts), "each execution has a number of its own"


async def test_a_repeat_of_what_is_offered_or_accepted_changes_nothing(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.finishes_at_once = False
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit(express=True)
        await until(lambda: len(worker.running) == 1)
        on.gateway.submit(express=True, request_id=request_id)
        on.gateway.submit(request_id=request_id)
        await until(lambda: dispatcher.stats.repeated == 2)
        worker.finish(request_id)
        await until(lambda: on.gateway.ended(request_id))
        assert len(worker.seen) == 1


async def test_a_scheduler_that_stops_leaves_nothing_offered_behind(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=0.2)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit(express=True)
        await until(lambda: len(dispatcher.offers) == 1)
        await on.schedulers.pop().stop()
        await until(lambda: on.gateway.histories[request_id].stored, what="the stream's acknowledgement")
        worker.mood = "accept"
        await on.scheduler()
        await until(lambda: on.gateway.ended(request_id))


async def test_one_called_off_before_it_came_is_confirmed_and_not_run(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        on.gateway.cancel("called-off")
        request_id = on.gateway.submit(express=True, request_id="called-off")
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).flags & Flag.CANCELLED
        assert not worker.seen


async def test_one_that_cannot_be_read_is_answered_with_an_error(nats: NatsServer) -> None:
    async with stage(nats) as on:
        dispatcher = await on.scheduler()
        reply = subjects.gateway_reply(on.gateway.id, "broken")
        raw = msgspec.json.encode({"reply": reply, "retry": 0})
        on.gateway.bus.publish(
            subjects.express("default"), b"{}", reply=reply, headers=encode_headers([(ENVELOPE, raw)])
        )
        await until(lambda: on.gateway.ended("broken"))
        assert on.gateway.end("broken").meta.code == "internal_error"
        assert dispatcher.stats.invalid == 1


async def test_of_two_schedulers_one_hears_it(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=64)
        schedulers = [await on.scheduler(), await on.scheduler()]
        for dispatcher in schedulers:
            await on.known(dispatcher, worker)
        sent = [on.gateway.submit(express=True) for _ in range(40)]
        await until(lambda: all(on.gateway.ended(request_id) for request_id in sent))
        assert sum(dispatcher.stats.express for dispatcher in schedulers) == len(sent)
        assert len(worker.seen) == len(sent)


async def test_one_that_a_worker_refuses_is_offered_to_the_next_and_not_stored(nats: NatsServer) -> None:
    async with stage(nats) as on:
        first, second = await on.worker("w1"), await on.worker("w2")
        first.mood = "full"
        dispatcher = await on.scheduler()
        await on.known(dispatcher, first, second)
        request_id = on.gateway.submit(express=True)
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200
        assert [len(worker.seen) for worker in (first, second)] == [1, 1]
        assert dispatcher.stats.stored == 0
