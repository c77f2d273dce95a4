"""What the gateway refuses by itself: a typed error in the dialect of the endpoint, and no work for any engine."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.inference import ServedModel
from libs.testkit.front import CHAT, KEY, Front, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.wait import until

ANTHROPIC: dict[str, Any] = CHAT | {"max_tokens": 5}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"max_body_bytes": 2_000, "body_timeout_s": 0.3}


async def _next_is_served(front: Front, double: Double) -> None:
    assert double.work.empty()
    double.on_work = lambda work: work.answer()
    assert (await front.post()).status_code == 200


BAD: tuple[tuple[Any, str, str | None], ...] = (
    (b"", "invalid_json", None),
    (b"{", "invalid_json", None),
    (b"\xff\xfe", "invalid_json", None),
    (b'{"model":"helpdesk","messages":"\xff"}', "invalid_json", None),
    (b"[" * 1_999, "invalid_value", None),
    (b"[]", "invalid_value", None),
    (b'"text"', "invalid_value", None),
    (b"{}", "missing_field", "model"),
    ({"model": "helpdesk"}, "missing_field", "messages"),
    (CHAT | {"model": None}, "invalid_value", "model"),
    (CHAT | {"model": 7}, "invalid_value", "model"),
    (CHAT | {"stream": "yes"}, "invalid_value", "stream"),
    (CHAT | {"max_tokens": -1}, "invalid_value", "max_tokens"),
    (CHAT | {"max_tokens": 1e30}, "invalid_value", "max_tokens"),
    (CHAT | {"n": 9}, "invalid_value", "n"),
    (CHAT | {"n": 0}, "invalid_value", "n"),
    (CHAT | {"service_tier": "gold"}, "invalid_value", "service_tier"),
    (CHAT | {"made_up": 1}, "unknown_parameter", "made_up"),
    (CHAT | {"chat_template": "{{ 1 }}"}, "unknown_parameter", "chat_template"),
    (CHAT | {"cache_salt": "other tenant"}, "unknown_parameter", "cache_salt"),
    (CHAT | {"priority": -9}, "unknown_parameter", "priority"),
    (CHAT | {"prompt_embeds": "x"}, "unknown_parameter", "prompt_embeds"),
)


async def test_a_bad_body_is_a_400_that_names_the_fault(front: Front, double: Double) -> None:
    for body, code, param in BAD:
        response = await front.post(body=body)
        assert response.status_code == 400, body
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param), body
        assert response.headers["x-request-id"]
    await _next_is_served(front, double)


async def test_the_same_fault_in_the_dialect_of_anthropic(front: Front, double: Double) -> None:
    response = await front.post("/v1/messages", ANTHROPIC | {"made_up": 1}, x_request_id="mine-4")
    assert response.status_code == 400
    answer = response.json()
    assert answer["type"] == "error"
    assert answer["request_id"] == "mine-4"
    assert answer["error"]["type"] == "invalid_request_error"
    assert (answer["error"]["code"], answer["error"]["param"]) == ("unknown_parameter", "made_up")
    missing = await front.post("/v1/messages", CHAT)
    assert missing.json()["error"]["param"] == "max_tokens"
    await _next_is_served(front, double)


WRONG_KEYS: tuple[dict[str, str], ...] = (
    {"authorization": ""},
    {"authorization": "Bearer wrong"},
    {"authorization": f"Basic {KEY}"},
    {"authorization": "", "x_api_key": "wrong"},
    {"authorization": "Bearer " + "x" * 5_000},
)


async def test_no_key_or_a_wrong_one_is_401(front: Front, double: Double) -> None:
    for headers in WRONG_KEYS:
        response = await front.post(**headers)
        assert response.status_code == 401, headers
        assert response.json()["error"]["code"] == "invalid_api_key"
        anthropic = await front.post("/v1/messages", ANTHROPIC, **headers)
        assert anthropic.json()["error"]["type"] == "authentication_error"
    await _next_is_served(front, double)


async def test_either_header_may_carry_the_key_but_never_the_url(front: Front, double: Double) -> None:
    double.on_work = lambda work: work.answer()
    assert (await front.post(authorization="", x_api_key=KEY)).status_code == 200
    assert (await front.post(authorization=f"bearer {KEY}")).status_code == 200
    assert (await front.post(f"/v1/chat/completions?api_key={KEY}", authorization="")).status_code == 401


async def test_a_body_over_the_limit_is_413_however_it_comes(front: Front, double: Double) -> None:
    large = CHAT | {"user": "x" * 3_000}
    declared = await front.post(body=large)
    assert (declared.status_code, declared.json()["error"]["code"]) == (413, "request_too_large")

    async def chunks() -> Any:
        for _ in range(30):
            yield b"x" * 100

    chunked = await front.http.post("/v1/chat/completions", content=chunks())
    assert (chunked.status_code, chunked.json()["error"]["code"]) == (413, "request_too_large")
    anthropic = await front.post("/v1/messages", large)
    assert anthropic.json()["error"]["type"] == "request_too_large"
    await _next_is_served(front, double)


async def test_a_chunked_body_within_the_limit_is_read(front: Front, double: Double) -> None:
    async def chunks() -> Any:
        text = json.dumps(CHAT).encode()
        for start in range(0, len(text), 10):
            yield text[start : start + 10]

    double.on_work = lambda work: work.answer(work.body)
    response = await front.http.post("/v1/chat/completions", content=chunks())
    assert response.json() == CHAT


async def test_a_body_that_never_comes_is_refused_in_time(front: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 50\r\n\r\n{{"
    )
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readuntil(b"}}"), 5)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()


async def test_an_unknown_model_is_404(front: Front, double: Double) -> None:
    response = await front.post(body=CHAT | {"model": "nobody"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")
    anthropic = await front.post("/v1/messages", ANTHROPIC | {"model": "nobody"})
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (404, "not_found_error")
    await _next_is_served(front, double)


async def test_a_model_that_cannot_answer_the_route_says_so(front: Front, double: Double) -> None:
    response = await front.post("/v1/embeddings", {"model": "helpdesk", "input": "x"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_route")
    await _next_is_served(front, double)


async def test_an_unknown_class_is_refused(front: Front) -> None:
    response = await front.post(x_llmos_class="urgent")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-llmos-class")


async def test_paths_and_methods_that_are_not_offered(front: Front) -> None:
    missing = await front.post("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert set(missing.json()["error"]) == {"message", "type", "param", "code"}
    for path in ("/v1/chat/completions", "/v1/messages"):
        wrong = await front.http.get(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert wrong.json()["error"]["code"] == "method_not_allowed"
    wrong = await front.post("/v1/models")
    assert wrong.headers["allow"] == "GET"
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_before_any_worker_was_heard_there_is_none(nats: NatsServer, tmp_path: Path) -> None:
    async with running(settings_for(nats, tmp_path)) as front:
        await until(lambda: front.gateway.bus.connected)
        response = await front.post()
        assert (response.status_code, response.json()["error"]["code"]) == (503, "no_worker")
        assert int(response.headers["retry-after"]) >= 1
        assert int(response.headers["retry-after-ms"]) >= 500
        assert "x-should-retry" not in response.headers
        anthropic = await front.post("/v1/messages", ANTHROPIC)
        assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (529, "overloaded_error")


async def test_a_model_that_a_worker_unloads_becomes_unknown(front: Front, double: Double) -> None:
    double.beat(models=(ServedModel(name="other"),))
    await until(lambda: [target.model for target in front.gateway.fleet.targets] == ["other"])
    assert (await front.post()).status_code == 404
