"""Gateways may hand requests over themselves while nothing waits; the scheduler says when, and to whom."""

from libs.kit import clock
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from services.scheduler.direct import CALM_S
from tests.integration.scheduler.stage import stage


async def test_workers_are_named_while_nothing_waits_and_nobody_while_something_does(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1", capacity=1)
        worker.finishes_at_once = False
        await on.scheduler()
        await until(lambda: on.gateway.named[-1:] == [("w1",)], what="the worker's name")
        first, second = on.gateway.submit(express=True), on.gateway.submit(express=True)
        await until(lambda: on.gateway.named[-1] == (), what="no name")
        await until(lambda: len(worker.running) == 1)
        worker.finish(first)
        await until(lambda: len(worker.seen) == 2)
        worker.finish(second)
        await until(lambda: on.gateway.named[-1] == ("w1",), timeout_s=CALM_S + 5, what="its name once more")


async def test_what_only_passes_through_the_stream_ends_it_too(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await until(lambda: on.gateway.named[-1:] == [("w1",)], what="the worker's name")
        dispatcher.pause()
        request_id = on.gateway.submit(express=True)
        await until(lambda: on.gateway.histories[request_id].stored, what="the stream's acknowledgement")
        assert on.gateway.named[-1] == (), "said before the request was passed on"
        began_s = clock.monotonic_s()
        dispatcher.resume()
        await until(lambda: on.gateway.ended(request_id))
        await until(lambda: on.gateway.named[-1] == ("w1",), timeout_s=CALM_S + 5, what="its name once more")
        assert clock.monotonic_s() - began_s >= CALM_S * 0.9
        assert worker.seen


async def test_a_cordoned_and_a_lost_worker_are_named_no_more(nats: NatsServer) -> None:
    async with stage(nats) as on:
        for name in ("w1", "w2", "w3"):
            await on.worker(name)
        dispatcher = await on.scheduler()
        await until(lambda: on.gateway.named[-1:] == [("w1", "w2", "w3")], what="all names")
        dispatcher.cordon(frozenset(("w1",)))
        await until(lambda: on.gateway.named[-1] == ("w2", "w3"), what="two names")
        await on.workers[1].cut()
        await until(lambda: on.gateway.named[-1] == ("w3",), what="one name")


async def test_switched_off_nobody_is_named_and_everything_goes_by_the_scheduler(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler(direct=False)
        await on.known(dispatcher, worker)
        await until(lambda: len(on.gateway.named) >= 2, what="two words")
        assert set(on.gateway.named) == {()}
        request_id = on.gateway.submit(express=True)
        await until(lambda: on.gateway.ended(request_id))
        assert dispatcher.stats.express == 1
