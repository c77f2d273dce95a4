"""Bodies: whatever a client sends is read, or refused with a 400 that names the fault; nothing else can happen."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.requests import ROUTES, RequestBody, RouteContract
from libs.kit.errors import ServiceError
from services.gateway.bodies import ClientGoneError, decode, read_body

CHAT = ROUTES["/v1/chat/completions"]
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": []},
    "/v1/completions": {"model": "m", "prompt": "x"},
    "/v1/responses": {"model": "m", "input": "x"},
    "/v1/messages": {"model": "m", "messages": [], "max_tokens": 3},
    "/v1/messages/count_tokens": {"model": "m", "messages": []},
    "/v1/embeddings": {"model": "m", "input": "x"},
    "/tokenize": {"model": "m", "prompt": "x"},
    "/detokenize": {"model": "m", "tokens": [1]},
}
LIMITS = {
    "/v1/chat/completions": "max_completion_tokens",
    "/v1/completions": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/v1/messages": "max_tokens",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ROUTE = st.sampled_from(list(ROUTES.values()))


def _refusal(route: RouteContract, body: bytes) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        decode(route, body)
    return caught.value


def _outcome(route: RouteContract, body: bytes) -> RequestBody | ServiceError:
    try:
        return decode(route, body)
    except ServiceError as error:
        return error


def test_every_route_has_an_example_here() -> None:
    assert set(GOOD) == set(ROUTES)


@pytest.mark.parametrize("path", ROUTES)
def test_the_smallest_good_body_is_read(path: str) -> None:
    fields = decode(ROUTES[path], json.dumps(GOOD[path]).encode())
    assert fields.model == "m"


@pytest.mark.parametrize("path", ROUTES)
def test_each_required_field_is_missed_by_name(path: str) -> None:
    for name in GOOD[path]:
        if path == "/tokenize" and name == "prompt":
            continue  # a prompt or messages: the engine tells which
        rest = {key: value for key, value in GOOD[path].items() if key != name}
        error = _refusal(ROUTES[path], json.dumps(rest).encode())
        assert (error.code, error.param) == ("missing_field", name)


@pytest.mark.parametrize("path", ROUTES)
def test_every_private_field_is_refused_by_name(path: str) -> None:
    route = ROUTES[path]
    assert {"cache_salt", "priority", "request_id", "chat_template", "kv_transfer_params"} <= route.refused
    assert not route.refused & route.allowed
    for name in route.refused:
        error = _refusal(route, json.dumps(GOOD[path] | {name: 1}).encode())
        assert (error.code, error.param, error.spec.status) == ("unknown_parameter", name, 400)
        assert "may not be set" in error.message


@pytest.mark.parametrize("path", ROUTES)
def test_every_allowed_field_may_be_null_or_left_out(path: str) -> None:
    route = ROUTES[path]
    for name in route.allowed - set(GOOD[path]):
        assert decode(route, json.dumps(GOOD[path] | {name: None}).encode()).model == "m"


@pytest.mark.parametrize(("path", "name"), LIMITS.items())
def test_the_token_limit_is_read_under_its_own_name(path: str, name: str) -> None:
    fields = decode(ROUTES[path], json.dumps(GOOD[path] | {name: 17}).encode())
    assert fields.token_limit() == 17


def test_the_newer_token_limit_of_chat_wins() -> None:
    body = GOOD["/v1/chat/completions"] | {"max_tokens": 5, "max_completion_tokens": 6}
    assert decode(CHAT, json.dumps(body).encode()).token_limit() == 6


def test_a_name_that_is_too_long_does_not_fill_the_answer() -> None:
    error = _refusal(CHAT, json.dumps(GOOD[CHAT.path] | {"x" * 10_000: 1}).encode())
    assert len(error.message) < 200


def test_a_body_nested_without_end_is_refused() -> None:
    assert _refusal(CHAT, b'{"messages":' + b"[" * 500_000).code == "invalid_json"
    assert _refusal(CHAT, b'{"messages":' + b'{"a":' * 200_000).code == "invalid_json"


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"01", b"'x'", b"[1,]", b'"\xff"', b'"\\ud800"', b"\x00"])
def test_text_that_is_almost_json_is_refused(value: bytes) -> None:
    error = _refusal(CHAT, b'{"model":"m","messages":%b}' % value)
    assert error.code == "invalid_json"


@given(ROUTE, st.binary(max_size=200))
def test_noise_is_read_or_refused(route: RouteContract, body: bytes) -> None:
    assert _refusal(route, body).spec.status == 400


@given(ROUTE, st.dictionaries(st.text(max_size=20), VALUES, max_size=4), st.data())
def test_nonsense_beside_good_fields_is_refused_or_known(
    route: RouteContract, extra: dict[str, Any], data: st.DataObject
) -> None:
    some = data.draw(st.sets(st.sampled_from(sorted(route.allowed)), max_size=3))
    body = GOOD[route.path] | extra | {name: data.draw(VALUES) for name in some}
    raw = json.dumps(body).encode()
    outcome = _outcome(route, raw)
    if isinstance(outcome, ServiceError):
        assert outcome.spec.status == 400
        assert outcome.param is None or len(outcome.param) <= 64
        msgspec.json.encode(outcome.message)
    else:
        assert set(body) <= route.allowed
        assert isinstance(outcome.model, str)
        assert 0 <= outcome.token_limit() < 2**31


class Wire:
    """An ASGI `receive` that hands out what it was given."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)

    async def __call__(self) -> dict[str, Any]:
        return self.messages.pop(0)


def _part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_one_part_or_many() -> None:
    assert await read_body(Wire(_part(b"abc", more=False)), b"3", limit=3, timeout_s=1) == b"abc"
    parts = Wire(_part(b"a", more=True), _part(b"", more=True), _part(b"bc", more=False))
    assert await read_body(parts, b"", limit=3, timeout_s=1) == b"abc"


@pytest.mark.parametrize(
    ("wire", "declared"),
    [
        (Wire(), b"4"),
        (Wire(_part(b"abcd", more=False)), b""),
        (Wire(_part(b"ab", more=True), _part(b"cd", more=True)), b""),
    ],
    ids=["declared", "whole", "parts"],
)
async def test_a_body_over_the_limit_is_not_read_to_its_end(wire: Wire, declared: bytes) -> None:
    with pytest.raises(ServiceError, match="larger than 3 bytes"):
        await read_body(wire, declared, limit=3, timeout_s=1)
    assert not wire.messages


async def test_a_client_that_leaves_in_its_body_is_no_error_of_anybody() -> None:
    gone: dict[str, Any] = {"type": "http.disconnect"}
    for wire in (Wire(gone), Wire(_part(b"a", more=True), gone)):
        with pytest.raises(ClientGoneError):
            await read_body(wire, b"", limit=3, timeout_s=1)
