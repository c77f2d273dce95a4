"""The engine's body: what is checked, put in, left out, and left alone."""

import json

import pytest

from libs.contracts.inference import Envelope, ServiceClass
from libs.kit.errors import ServiceError
from services.inference.body import engine_body

CHAT = "/v1/chat/completions"


def envelope(**more: object) -> Envelope:
    fields: dict[str, object] = {
        "request_id": "a" * 24,
        "reply": "rpl.gateway.g.r",
        "route": CHAT,
        "model": "helpdesk",
        "pool": "default",
        "service_class": ServiceClass.STANDARD,
        "tenant": "t",
        "start_by_ms": 1,
        "deadline_ms": 1,
        "submitted_ms": 1,
    }
    return Envelope(**(fields | more))  # type: ignore[arg-type] # any field may be overwritten


def refused(body: bytes, env: Envelope | None = None, *, adapters: bool = False) -> tuple[str, str | None]:
    with pytest.raises(ServiceError) as caught:
        engine_body(body, env or envelope(), adapters=adapters)
    return caught.value.code, caught.value.param


def test_values_pass_byte_for_byte() -> None:
    body = b'{"model":"helpdesk","messages":[ {"role" : "user", "content":"\\u00e9 1.50"} ],"temperature":0.70}'
    out = engine_body(body, envelope(), adapters=False)
    assert b'[ {"role" : "user", "content":"\\u00e9 1.50"} ]' in out
    assert b"0.70" in out


def test_the_platforms_fields_go_in_and_the_gateways_stay_out() -> None:
    body = b'{"model":"alias","messages":[],"service_tier":"flex"}'
    out = json.loads(engine_body(body, envelope(model="helpdesk", cache_salt="s1"), adapters=False))
    assert out == {"model": "helpdesk", "messages": [], "cache_salt": "s1"}


def test_only_responses_needs_its_id_in_the_body() -> None:
    env = envelope(route="/v1/responses")
    assert json.loads(engine_body(b'{"input":"x"}', env, adapters=False))["request_id"] == "resp_" + "a" * 24
    assert "request_id" not in json.loads(engine_body(b'{"messages":[]}', envelope(), adapters=False))


def test_routes_without_a_cache_get_no_salt() -> None:
    env = envelope(route="/tokenize", cache_salt="s1")
    assert "cache_salt" not in json.loads(engine_body(b'{"prompt":"x"}', env, adapters=False))


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":}', b"\xff", b'{"model":"x"} trailing'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(body) == ("invalid_json", None)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    assert refused(body) == ("invalid_json", None)


@pytest.mark.parametrize(
    "name", ["cache_salt", "priority", "request_id", "chat_template", "vllm_xargs", "prompt_embeds"]
)
def test_private_fields_are_refused_by_name(name: str) -> None:
    assert refused(b'{"messages":[],"%b":1}' % name.encode()) == ("unsupported_parameter", name)


def test_unknown_fields_are_refused_by_name() -> None:
    assert refused(b'{"messages":[],"zzz":1,"yyy":2}') == ("unknown_parameter", "yyy")


def test_an_unknown_route_is_refused() -> None:
    assert refused(b"{}", envelope(route="/collective_rpc")) == ("unsupported_route", None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (b'"prompt_logprobs":1', "prompt_logprobs"),
        (b'"prompt_logprobs":0', "prompt_logprobs"),
        (b'"echo":true,"logprobs":true', "echo"),
        (b'"echo":true,"top_logprobs":0', "echo"),
    ],
)
def test_prompt_logprobs_never_reach_an_engine_with_adapters(fields: bytes, param: str) -> None:
    body = b'{"messages":[],%b}' % fields
    assert refused(body, adapters=True) == ("unsupported_parameter", param)
    assert engine_body(body, envelope(), adapters=False)


@pytest.mark.parametrize(
    "fields", [b'"prompt_logprobs":null', b'"echo":false,"logprobs":true', b'"echo":true', b'"logprobs":true']
)
def test_harmless_neighbours_of_prompt_logprobs_pass(fields: bytes) -> None:
    assert engine_body(b'{"messages":[],%b}' % fields, envelope(), adapters=True)
