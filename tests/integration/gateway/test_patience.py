"""Deadlines, silent workers, clients that leave or do not read, and the drain."""

import asyncio
from typing import Any

import pytest

from libs.contracts import subjects
from libs.kit.bus import Message
from libs.testkit.front import CHAT, Front
from libs.testkit.path_double import Double
from libs.testkit.wait import until

STREAM = CHAT | {"stream": True}


@pytest.fixture
def overrides(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.mark.parametrize("overrides", [{"queue_timeout_s": 0.2}], indirect=True)
async def test_a_request_that_nobody_takes_times_out(front: Front, double: Double) -> None:
    response = await front.post()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "queue_timeout")
    assert response.headers["retry-after"]
    work = await double.next()
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


@pytest.mark.parametrize("overrides", [{"request_timeout_s": 0.3}], indirect=True)
async def test_an_answer_that_takes_too_long_is_cut(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.accept()
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


@pytest.mark.parametrize("overrides", [{"missed_beats": 3}], indirect=True)
async def test_a_worker_whose_beats_stop_is_lost(front: Front, double: Double) -> None:
    task = front.ask()
    (await double.next()).accept("w1")
    again = await double.next()
    assert again.envelope.retry == 1
    again.answer()
    assert (await task).status_code == 200
    # Its model stays known: the next request waits for the next worker.
    waiting = front.ask()
    (await double.next()).answer()
    assert (await waiting).status_code == 200


async def test_a_client_that_leaves_while_waiting_cancels_its_request(front: Front, double: Double) -> None:
    _, writer = await front.connect()
    work = await double.next()
    work.accept()
    writer.transport.abort()
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")
    await until(lambda: len(front.gateway.relay) == 0)
    metrics = (await front.http.get("/metrics")).text
    labels = 'outcome="cancelled",route="/v1/chat/completions",status="0"'
    assert f"llmos_gateway_requests_total{{{labels}}} 1.0" in metrics


async def test_a_client_that_leaves_in_a_stream_cancels_it(front: Front, double: Double) -> None:
    reader, writer = await front.connect(STREAM)
    work = await double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    await reader.readuntil(b"data: 1\n\n")
    writer.close()
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


async def test_a_client_that_leaves_after_the_end_cancels_nothing(front: Front, double: Double) -> None:
    reader, writer = await front.connect()
    (await double.next()).answer()
    await reader.readuntil(b'{"ok":true}')
    writer.close()
    double.on_work = lambda work: work.answer()
    assert (await front.post()).status_code == 200
    assert double.cancels == []


@pytest.mark.parametrize("overrides", [{"max_buffer_bytes": 1 << 20}], indirect=True)
async def test_a_client_that_does_not_read_is_cut_off_and_memory_stays_bounded(front: Front, double: Double) -> None:
    _, writer = await front.connect(STREAM)
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a TCP transport
    work = await double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    highest = 0
    cut = asyncio.create_task(until(lambda: bool(double.cancels), timeout_s=20, what="the cancel"))
    while not cut.done():
        work.more(b"x" * 60_000)
        await double.worker_bus.flush()
        highest = max([highest, *(inflight.buffered_bytes for inflight in front.gateway.relay.requests())])
    await cut
    assert (work.envelope.request_id, None) in double.cancels
    assert highest <= (1 << 20) + 60_000
    await until(lambda: len(front.gateway.relay) == 0)
    writer.transport.abort()


@pytest.mark.parametrize("overrides", [{"client_stall_s": 4, "max_buffer_bytes": 64 << 20}], indirect=True)
async def test_a_client_that_stalls_is_cut_off_in_time(front: Front, double: Double) -> None:
    _, writer = await front.connect(STREAM)
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a TCP transport
    work = await double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    for _ in range(400):  # 24 MB: more than the kernel's buffers of both sides take
        work.more(b"x" * 60_000)
    work.last()
    # All has arrived, nobody reads: nothing is left to cancel, but the connection must not be kept for ever.
    await until(lambda: len(front.gateway.relay) == 0, timeout_s=60)
    labels = 'outcome="cancelled",route="/v1/chat/completions",status="200"'
    assert f"llmos_gateway_requests_total{{{labels}}} 1.0" in (await front.http.get("/metrics")).text
    assert double.cancels == []
    writer.transport.abort()


@pytest.mark.parametrize("overrides", [{"max_response_bytes": 100_000}], indirect=True)
async def test_an_answer_that_is_too_large_to_hold_is_an_error(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.accept()
    work.head(b"x" * 60_000, "application/json")
    work.more(b"x" * 60_000)
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


async def test_during_the_drain_new_requests_are_refused_and_old_ones_end(front: Front, double: Double) -> None:
    reader, writer = await front.connect(STREAM)
    work = await double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    await reader.readuntil(b"data: 1\n\n")
    front.gateway.begin_drain()
    refused = await front.post()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    ready = await front.http.get("/readyz")
    assert (ready.status_code, ready.json()["missing"]) == (503, ["accepting"])
    work.more(b"data: 2\n\n")
    await asyncio.wait_for(reader.readuntil(b"data: 2\n\n"), 5)
    # It does not end by itself: after the drain's time it is ended, and says so.
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    assert b"shutting_down" in rest
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")
    writer.close()


async def test_a_scheduler_that_swallows_a_request_is_not_waited_for(front: Front, double: Double) -> None:
    swallowed: list[Message] = []
    deaf = double.scheduler_bus.subscribe(subjects.express("default"), swallowed.append)
    await double.scheduler_bus.flush()
    task = front.ask()
    await until(lambda: len(swallowed) == 1)
    assert double.work.empty(), "it was submitted past the stream"
    work = await double.next()
    assert work.envelope.request_id == swallowed[0].reply.rpartition(".")[2]
    assert work.envelope.retry == 0
    work.answer()
    assert (await task).status_code == 200
    double.scheduler_bus.unsubscribe(deaf)
