"""What a scheduler records of a request: each hand-over below the gateway's span, or why there was none."""

import pytest

from libs.kit.telemetry.traceparent import Parent, write
from libs.testkit.nats_server import NatsServer
from libs.testkit.traces import noting
from libs.testkit.wait import until
from tests.integration.scheduler.stage import stage

GATEWAY = Parent(0xABC, 0xDEF)
TRACEPARENT = write(*GATEWAY)


@pytest.mark.parametrize("express", [False, True])
async def test_each_hand_over_is_a_span_and_the_worker_is_told_of_it(nats: NatsServer, express: bool) -> None:
    # A model may be named like anything, and keeps its name.
    async with stage(nats) as on:
        worker = await on.worker("w1", models=(TRACEPARENT,))
        worker.mood = "full"
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        with noting() as notes:
            request_id = on.gateway.submit(model=TRACEPARENT, traceparent=TRACEPARENT, express=express)
            await until(lambda: len(worker.seen) > 0, timeout_s=30)
            worker.mood = "accept"
            await until(lambda: on.gateway.ended(request_id), timeout_s=30)
        assert len(worker.seen) > 1
        assert [run.envelope.traceparent for run in worker.seen] == [span.traceparent for span in notes.spans]
        for run, span in zip(worker.seen, notes.spans, strict=True):
            assert (run.envelope.model, run.envelope.request_id, run.body) == (
                TRACEPARENT,
                request_id,
                request_id.encode(),
            )
            assert (span.name, span.parent, span.errors, span.ended) == ("schedule", GATEWAY, [], True)
            assert span.started_ns == run.envelope.submitted_ms * 1_000_000
            assert (span.said["llmos.worker.id"], span.said["llmos.attempt"]) == ("w1", run.attempt)


async def test_a_request_that_nobody_takes_in_time_is_a_failed_span(nats: NatsServer) -> None:
    async with stage(nats) as on:
        await on.scheduler()
        with noting() as notes:
            late = on.gateway.submit(start_within_ms=-1, traceparent=TRACEPARENT)
            await until(lambda: on.gateway.ended(late), timeout_s=30)
        (span,) = notes.spans
        assert (span.parent, span.errors, span.ended) == (GATEWAY, ["queue_timeout"], True)


async def test_what_is_not_recorded_is_handed_over_as_it_came(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        await on.scheduler()
        unsampled = TRACEPARENT[:-1] + "0"
        with noting() as notes:
            requests = [on.gateway.submit(), on.gateway.submit(traceparent=unsampled)]
            await until(lambda: all(map(on.gateway.ended, requests)), timeout_s=30)
        assert {run.envelope.traceparent for run in worker.seen} == {"", unsampled}
        assert notes.spans == []
