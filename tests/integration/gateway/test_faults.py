"""Workers and the bus misbehave; the client gets an answer or a typed error, never a clean wrong end."""

import asyncio
import json
from typing import Any

import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag, encode, encode_meta, join
from libs.contracts.inference import FrameMeta, WorkerState
from libs.testkit.front import CHAT, Front
from libs.testkit.path_double import Double, Work
from libs.testkit.wait import until

STREAM = CHAT | {"stream": True}


async def _begin_stream(front: Front, double: Double, path: str = "/v1/chat/completions") -> tuple[Any, Work]:
    """A stream of which the client has received `data: 1`."""
    received = asyncio.Event()
    body = STREAM | ({"max_tokens": 5} if path == "/v1/messages" else {})
    if path == "/v1/responses":
        body = {"model": "helpdesk", "input": "hi", "stream": True}

    async def read() -> bytes:
        parts = b""
        async with front.http.stream("POST", path, json=body) as response:
            async for part in response.aiter_bytes():
                parts += part
                received.set()
        return parts

    task = asyncio.create_task(read())
    work = await double.next()
    work.accept()
    work.head(b'data: {"sequence_number":1}\n\n')
    await asyncio.wait_for(received.wait(), 5)
    return task, work


async def test_a_gap_ends_the_stream_with_an_error_and_calls_the_execution_off(front: Front, double: Double) -> None:
    task, work = await _begin_stream(front, double)
    work.seq += 1
    work.last(b"data: [DONE]\n\n")
    text = (await task).decode()
    assert json.loads(text.rstrip().rpartition("data: ")[2])["error"]["code"] == "frames_lost"
    assert "[DONE]" not in text
    await until(lambda: (work.envelope.request_id, work.attempt) in double.cancels, what="the cancel")


async def test_a_gap_in_a_whole_answer_is_a_502(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.accept()
    work.head(b'{"half":', "application/json")
    work.seq += 1
    work.last(b"1}")
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (502, "frames_lost")
    assert response.headers["x-should-retry"] == "false"


async def test_a_frame_that_comes_twice_is_taken_once(front: Front, double: Double) -> None:
    task, work = await _begin_stream(front, double)
    work.more(b"data: 2\n\n")
    work.seq -= 1
    work.more(b"data: 2\n\n")
    work.last(b"data: 3\n\n")
    assert (await task).endswith(b"data: 2\n\ndata: 3\n\n")
    assert (await front.http.get("/healthz")).status_code == 200


async def test_a_second_execution_is_called_off_and_not_heard(front: Front, double: Double) -> None:
    task, work = await _begin_stream(front, double)
    second = work.again()
    second.accept("w2")
    second.head(b"data: wrong\n\n")
    second.last(b"data: wrong\n\n")
    await until(lambda: (work.envelope.request_id, second.attempt) in double.cancels, what="the cancel")
    work.last(b"data: right\n\n")
    text = (await task).decode()
    assert "wrong" not in text
    assert text.endswith("data: right\n\n")
    assert (work.envelope.request_id, None) not in double.cancels


async def test_an_execution_of_a_request_that_is_over_is_called_off(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.answer()
    assert (await task).status_code == 200
    late = work.again()
    late.accept()
    await until(lambda: (work.envelope.request_id, late.attempt) in double.cancels, what="the cancel")
    work.more(b"late bytes")
    double.on_work = lambda work: work.answer()
    assert (await front.post()).status_code == 200


async def test_a_lost_acceptance_does_not_lose_the_answer(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.seq = 1
    work.head(b'{"ok":', "application/json")
    work.last(b"true}")
    response = await task
    assert (response.status_code, response.json()) == (200, {"ok": True})


async def test_a_worker_that_dies_before_the_first_byte_is_replaced(front: Front, double: Double) -> None:
    task = front.ask()
    first = await double.next()
    first.accept("w1")
    first.head(b'{"half":', "application/json")
    await front.gateway.bus.flush()
    await double.worker_bus.flush()
    double.announce_loss("w1")
    second = await double.next()
    assert second.envelope.retry == 1
    assert second.envelope.request_id == first.envelope.request_id
    assert second.body == first.body
    assert b"Nats-Msg-Id: %b:1" % first.envelope.request_id.encode() in second.headers
    second.accept("w2")
    # The dead one was only slow: its bytes must not mix with the other's.
    first.last(b'"wrong"}')
    second.head(b'{"whole":1}', "application/json")
    second.last()
    response = await task
    assert (response.status_code, response.json()) == (200, {"whole": 1})
    assert (first.envelope.request_id, first.attempt) in double.cancels
    assert (first.envelope.request_id, None) not in double.cancels


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_a_worker_that_dies_in_a_stream_ends_it_with_an_error_event(
    front: Front, double: Double, path: str
) -> None:
    task, _ = await _begin_stream(front, double, path)
    double.announce_loss("w1")
    text = (await task).decode()
    assert "[DONE]" not in text
    event = json.loads(text.rstrip().rpartition("data: ")[2])
    assert event["error"]["code"] == "worker_lost"
    if path == "/v1/messages":
        assert "\nevent: error\n" in text
        assert (event["type"], event["error"]["type"]) == ("error", "api_error")
    if path == "/v1/responses":
        assert (event["type"], event["sequence_number"], event["code"]) == ("error", 2, "worker_lost")
    assert double.work.empty()


async def test_a_request_that_two_workers_die_on_is_quarantined(front: Front, double: Double) -> None:
    task = front.ask()
    for worker in ("w1", "w2"):
        work = await double.next()
        work.accept(worker)
        await double.worker_bus.flush()
        double.announce_loss(worker)
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (500, "request_quarantined")
    assert response.headers["x-should-retry"] == "false"
    assert double.work.empty()


async def test_a_worker_that_stops_in_order_hands_its_request_on(front: Front, double: Double) -> None:
    task = front.ask()
    (await double.next()).send(Flag.ACCEPTED, meta=FrameMeta(worker="w1"))
    # Twice in a row: that is bad luck, not a request that kills workers.
    first = front.gateway.relay.requests()[0]
    await until(lambda: first.worker == "w1")
    double.beat("w1", state=WorkerState.STOPPED)
    second = await double.next()
    second.accept("w2")
    second.fail("shutting_down")
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (502, "worker_lost")


async def test_a_request_missing_in_two_beats_is_started_again(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.accept("w1")
    for _ in range(3):
        double.beat("w1", running=(work.running,))
    double.beat("w1")
    double.beat("w1", running=(work.running,))
    double.beat("w1")
    await double.worker_bus.flush()
    await front.gateway.bus.flush()
    assert double.work.empty()
    double.beat("w1")
    again = await double.next()
    assert again.envelope.retry == 1
    again.answer()
    assert (await task).status_code == 200


@pytest.mark.parametrize(
    ("code", "status"), [("context_length_exceeded", 400), ("engine_error", 500), ("queue_timeout", 503), ("new", 500)]
)
async def test_a_workers_error_reaches_the_client_with_its_code(
    front: Front, double: Double, code: str, status: int
) -> None:
    task = front.ask()
    work = await double.next()
    work.accept()
    work.fail(code, "too long", "messages")
    response = await task
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == (code if code != "new" else "internal_error")
    assert (error["message"], error["param"]) == ("too long", "messages")


async def test_a_scheduler_may_refuse_without_any_acceptance(front: Front, double: Double) -> None:
    task = front.ask()
    (await double.next()).fail("queue_timeout")
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (503, "queue_timeout")
    assert "x-should-retry" not in response.headers


async def test_a_client_whose_request_an_operator_cancelled_does_not_send_it_again(
    front: Front, double: Double
) -> None:
    for began in (False, True):
        task = front.ask()
        work = await double.next()
        if began:
            work.accept()
        work.fail("cancelled_by_operator")
        response = await task
        assert (response.status_code, response.json()["error"]["code"]) == (503, "cancelled_by_operator")
        assert response.headers["x-should-retry"] == "false"
    assert double.work.empty()


async def test_an_engines_own_500_does_not_show(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    work.accept()
    work.head(b'{"secret":"/opt/engine.py line 3"}', "application/json", status=500)
    work.last()
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_error")
    assert "secret" not in response.text


async def test_noise_on_a_reply_subject_ends_the_request_typed(front: Front, double: Double) -> None:
    task = front.ask()
    work = await double.next()
    double.worker_bus.publish(work.envelope.reply, b"\x09not a frame at all")
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    double.worker_bus.publish(f"{work.envelope.reply}x", b"\x01")
    double.worker_bus.publish(work.envelope.reply, b"{not json")
    double.on_work = lambda work: work.answer()
    assert (await front.post()).status_code == 200


async def test_frames_of_several_requests_in_one_message_reach_each_of_them(front: Front, double: Double) -> None:
    asked = [front.ask() for _ in range(3)]
    works = [await double.next() for _ in asked]
    works.sort(key=lambda work: work.envelope.submitted_ms)
    for work in works:
        work.accept()
    meta = encode_meta(FrameMeta(content_type="application/json"))
    entries = [
        (
            work.envelope.request_id.encode(),
            encode(Flag.HEAD | Flag.LAST, work.attempt, 1, b"%d" % number, status=200, meta=meta),
        )
        for number, work in enumerate(works)
    ]
    broken = (works[1].envelope.request_id.encode(), b"no frame")
    bundle = join([entries[0], broken, (b"nobody", entries[0][1]), entries[2]]) + b"cut"
    gateway = works[0].envelope.reply.split(".")[2]
    double.worker_bus.publish(subjects.gateway_frames(gateway), bundle)
    responses = [await task for task in asked]
    assert sorted(response.status_code for response in responses) == [200, 200, 500]
    assert {response.content for response in responses if response.status_code == 200} == {b"0", b"2"}
