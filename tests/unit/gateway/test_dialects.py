"""Errors in each dialect: every code has a shape that its SDK reads."""

import json
from typing import Any

import pytest

from libs.contracts.errors import ERRORS
from libs.contracts.requests import ROUTES
from libs.kit.errors import ServiceError
from services.gateway.dialects import dialect_of
from services.gateway.replies import retry_headers

OPENAI = dialect_of("openai", "/v1/chat/completions")
RESPONSES = dialect_of("openai", "/v1/responses")
ANTHROPIC = dialect_of("anthropic", "/v1/messages")
ANTHROPIC_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
}


def _data(event: bytes) -> Any:
    name, _, data = event.rpartition(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n\n") == 1
    return name, json.loads(data)


@pytest.mark.parametrize("code", [*ERRORS, "from_a_newer_worker"])
def test_openai_errors_have_all_four_keys(code: str) -> None:
    error = ServiceError(code, 'a "quoted"\nline', param="messages")
    body = json.loads(OPENAI.body(error, "id"))
    assert set(body) == {"error"}
    assert body["error"]["message"] == 'a "quoted"\nline'
    assert body["error"]["code"] in ERRORS
    assert body["error"]["param"] == "messages"
    assert OPENAI.status(error) == ERRORS[body["error"]["code"]].status
    name, data = _data(OPENAI.event(error, "id", b""))
    assert (name, data) == (b"", body)


@pytest.mark.parametrize("code", ERRORS)
def test_anthropic_errors_have_their_envelope(code: str) -> None:
    error = ServiceError(code, "no", param=None)
    body = json.loads(ANTHROPIC.body(error, "id"))
    assert (body["type"], body["request_id"]) == ("error", "id")
    assert body["error"]["type"] in ANTHROPIC_TYPES
    assert (body["error"]["message"], body["error"]["code"], body["error"]["param"]) == ("no", code, None)
    assert (body["error"]["type"] in ("api_error", "overloaded_error", "timeout_error")) == (
        ANTHROPIC.status(error) >= 500
    )
    name, data = _data(ANTHROPIC.event(error, "id", b""))
    assert (name, data) == (b"event: error\n", body)


@pytest.mark.parametrize(
    ("code", "status"), [("queue_full", 529), ("no_worker", 529), ("queue_timeout", 529), ("bus_unavailable", 503)]
)
def test_anthropic_overload_is_529(code: str, status: int) -> None:
    assert ANTHROPIC.status(ServiceError(code, "no")) == status


def test_a_responses_stream_continues_its_numbers() -> None:
    sent = b'event: x\ndata: {"sequence_number":7}\n\nevent: y\ndata: {"sequence_number": 8,"a":1}\n\n'
    name, data = _data(RESPONSES.event(ServiceError("worker_lost", "gone"), "id", sent))
    assert name == b"event: error\n"
    assert (data["type"], data["sequence_number"], data["message"]) == ("error", 9, "gone")
    assert data["error"]["code"] == data["code"] == "worker_lost"
    _, first = _data(RESPONSES.event(ServiceError("worker_lost", "gone"), "id", b""))
    assert first["sequence_number"] == 0


def test_each_route_speaks_its_dialect() -> None:
    for route in ROUTES.values():
        dialect = dialect_of(route.dialect, route.path)
        assert (b"request-id" in dialect.request_id_headers) == route.path.startswith("/v1/messages")


def test_when_to_try_again_is_said_where_it_helps_only() -> None:
    full = ServiceError("queue_full", "no", retry_after_s=4.0)
    headers = dict(retry_headers(full, 503, work_began=False))
    assert 3 <= int(headers[b"retry-after"]) <= 5
    assert 3_200 <= int(headers[b"retry-after-ms"]) <= 4_800
    assert b"x-should-retry" not in headers
    assert dict(retry_headers(full, 529, work_began=False)).keys() == {b"retry-after", b"retry-after-ms"}
    assert retry_headers(ServiceError("invalid_json", "no"), 400, work_began=False) == []
    lost = retry_headers(ServiceError("worker_lost", "no"), 502, work_began=True)
    assert lost == [(b"x-should-retry", b"false")]
