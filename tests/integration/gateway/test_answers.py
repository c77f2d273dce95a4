"""Good answers: what the client sees, what was put on the bus for it, and what is announced afterwards."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import nats as nats_py
import pytest
import pytest_asyncio
from nats.aio.subscription import Subscription

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted, ServiceClass
from libs.kit.bus import header_value
from libs.testkit.front import CHAT, KEY, Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import EVENTS, USAGE, VERSION, Double

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest_asyncio.fixture(loop_scope="session")
async def events(nats: NatsServer) -> AsyncIterator[Subscription]:
    """Every event that a gateway announces."""
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}", user="provisioner", password=nats.passwords["provisioner"]
    )
    subscription = await client.subscribe(subjects.COMPLETED)
    await client.flush()
    yield subscription
    await client.close()


async def test_a_whole_answer_reaches_the_client_byte_for_byte(front: Front, double: Double) -> None:
    task = front.ask(x_request_id="mine-1")
    work = await double.next()
    work.answer(b'{ "hello":  "world" }')
    response = await task
    assert response.status_code == 200
    assert response.content == b'{ "hello":  "world" }'
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == "21"
    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["x-llmos-worker"] == "worker-0"
    assert response.headers["x-llmos-model-version"] == VERSION
    assert response.headers["x-llmos-queue-ms"] == "7"
    assert "server" not in response.headers


async def test_the_body_travels_unchanged_beside_the_envelope(front: Front, double: Double) -> None:
    body = b'{"model": "helpdesk",  "messages":[], "stream":false,"max_tokens":7, "temperature":0.10}'
    task = front.ask(body=body, traceparent=TRACE)
    work = await double.next()
    envelope = work.envelope
    assert work.body == body
    assert (envelope.model, envelope.pool, envelope.route) == ("helpdesk", "default", "/v1/chat/completions")
    assert (envelope.tenant, envelope.max_tokens, envelope.stream, envelope.retry) == ("acme", 7, False, 0)
    assert envelope.traceparent == TRACE
    assert header_value(work.headers, b"traceparent") == TRACE.encode()
    assert header_value(work.headers, b"Nats-Msg-Id") == f"{envelope.request_id}:0".encode()
    assert envelope.deadline_ms > envelope.start_by_ms > envelope.submitted_ms
    work.answer()
    await task


async def test_tenants_get_different_cache_salts_that_do_not_show_the_key(front: Front, double: Double) -> None:
    salts = []
    for key in (KEY, KEY, "sk-other"):
        task = front.ask(authorization=f"Bearer {key}")
        work = await double.next()
        salts.append(work.envelope.cache_salt)
        work.answer()
        await task
    assert salts[0] == salts[1] != salts[2]
    assert all(len(salt) == 64 and KEY not in salt for salt in salts)


@pytest.mark.parametrize(
    ("header", "tier", "expected"),
    [
        ("", None, ServiceClass.STANDARD),
        ("", "auto", ServiceClass.STANDARD),
        ("", "priority", ServiceClass.REALTIME),
        ("", "flex", ServiceClass.BATCH),
        ("batch", "priority", ServiceClass.BATCH),
        ("realtime", None, ServiceClass.REALTIME),
    ],
)
async def test_the_service_class_is_the_header_or_the_tier(
    front: Front, double: Double, header: str, tier: str | None, expected: ServiceClass
) -> None:
    body = CHAT | ({"service_tier": tier} if tier else {})
    task = front.ask(body=body, **({"x_llmos_class": header} if header else {}))
    work = await double.next()
    assert work.envelope.service_class == expected
    work.answer()
    assert (await task).status_code == 200


async def test_a_stream_is_relayed_byte_for_byte(front: Front, double: Double) -> None:
    task = front.ask(body=CHAT | {"stream": True})
    work = await double.next()
    assert work.envelope.stream
    work.accept()
    work.head(b"data: a\n\n")
    work.more(b"data: b\n\n: comment\n\n")
    work.more(b"data: c\n\n")
    work.last(b"data: [DONE]\n\n")
    response = await task
    assert response.content == b"data: a\n\ndata: b\n\n: comment\n\ndata: c\n\ndata: [DONE]\n\n"
    assert response.headers["content-type"] == EVENTS


async def test_the_head_goes_out_before_the_first_token(front: Front, double: Double) -> None:
    reader, writer = await front.connect(CHAT | {"stream": True})
    work = await double.next()
    work.accept()
    work.head()
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()
    assert head.startswith("http/1.1 200")
    assert "content-length" not in head
    assert f"content-type: {EVENTS}" in head
    assert "cache-control: no-cache" in head
    assert "x-accel-buffering: no" in head
    work.more(b"data: 1\n\n")
    assert await asyncio.wait_for(reader.readexactly(3 + 9 + 2), 5) == b"9\r\ndata: 1\n\n\r\n"
    work.last(b"data: [DONE]\n\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    assert rest == b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    writer.close()


async def test_frames_that_are_ready_together_leave_in_one_piece(front: Front, double: Double) -> None:
    reader, writer = await front.connect(CHAT | {"stream": True})
    work = await double.next()
    work.accept()
    work.head(b"data: 0\n\n")
    await asyncio.wait_for(reader.readuntil(b"data: 0\n\n\r\n"), 5)
    for number in range(1, 5):
        work.more(b"data: %d\n\n" % number)
    joined = b"".join(b"data: %d\n\n" % number for number in range(1, 5))
    assert await asyncio.wait_for(reader.readuntil(joined), 5) == b"%x\r\n" % len(joined) + joined
    work.last()
    await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    writer.close()


async def test_many_requests_on_one_connection(front: Front, double: Double) -> None:
    double.on_work = lambda work: work.answer(work.body)
    for number in range(50):
        response = await front.post(body=CHAT | {"user": str(number)})
        assert response.json()["user"] == str(number)
    assert len(front.gateway.relay) == 0


async def test_many_requests_at_once_do_not_mix(front: Front, double: Double) -> None:
    double.on_work = lambda work: work.answer(work.body)
    tasks = [front.ask(body=CHAT | {"user": str(number)}) for number in range(200)]
    responses = await asyncio.gather(*tasks)
    assert [response.json()["user"] for response in responses] == [str(number) for number in range(200)]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a/b", "ümlaut"])
async def test_an_unfit_request_id_is_replaced(front: Front, double: Double, given: str) -> None:
    double.on_work = lambda work: work.answer()
    response = await front.http.post("/v1/chat/completions", json=CHAT, headers=[(b"x-request-id", given.encode())])
    assert len(response.headers["x-request-id"]) == 24


async def test_the_anthropic_route_names_its_request_id_as_that_sdk_expects(front: Front, double: Double) -> None:
    double.on_work = lambda work: work.answer()
    body = CHAT | {"max_tokens": 5}
    response = await front.post("/v1/messages", body, x_request_id="mine-2")
    assert response.headers["request-id"] == response.headers["x-request-id"] == "mine-2"


async def test_tokenize_is_offered_under_both_paths(front: Front, double: Double) -> None:
    for path in ("/tokenize", "/v1/tokenize"):
        task = front.ask(path, {"model": "helpdesk", "prompt": "hi"})
        work = await double.next()
        assert work.envelope.route == "/tokenize"
        work.answer()
        assert (await task).status_code == 200


async def test_every_end_is_announced_once(front: Front, double: Double, events: Subscription) -> None:
    task = front.ask(body=CHAT | {"max_tokens": 9}, x_request_id="mine-3")
    work = await double.next()
    work.answer(b'{"n":1}')
    await task
    message = await events.next_msg(timeout=5)
    event = msgspec.json.decode(message.data, type=RequestCompleted)
    assert (event.outcome, event.status, event.client_request_id) == ("ok", 200, "mine-3")
    assert (event.tenant, event.key_id, event.model) == ("acme", "alice", "helpdesk")
    assert (event.worker, event.model_version, event.usage) == ("w1", VERSION, USAGE)
    assert (event.response_bytes, event.queue_ms, event.retries) == (7, 7, 0)
    assert message.headers is not None
    assert message.headers["ce-id"] == message.headers["Nats-Msg-Id"] == event.id
    assert message.headers["ce-type"] == subjects.COMPLETED
    assert message.headers["ce-specversion"] == "1.0"
    assert message.headers["ce-source"] == f"gateway/{front.gateway.instance}"
    with pytest.raises(TimeoutError):
        await events.next_msg(timeout=0.3)
    assert front.gateway.events.pending == 0


async def test_a_refusal_is_announced_for_a_known_key_only(front: Front, events: Subscription) -> None:
    assert (await front.post(authorization="Bearer nobody")).status_code == 401
    assert (await front.post(body=b"{")).status_code == 400
    event = msgspec.json.decode((await events.next_msg(timeout=5)).data, type=RequestCompleted)
    assert (event.outcome, event.status, event.error_code, event.tenant) == ("error", 400, "invalid_json", "acme")
