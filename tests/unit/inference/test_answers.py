"""Errors of the engine in our words."""

import json

import pytest

from services.inference.answers import clean, from_answer, from_event, from_exception


def body(message: str, param: str | None = None, code: int = 400) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "param": param, "code": code}}).encode()


def test_a_context_that_is_too_long_has_its_own_code() -> None:
    error = from_answer(
        400, body("This model's maximum context length is 512 tokens. (parameter=input_tokens, value=513)")
    )
    assert (error.code, error.message, error.param) == (
        "context_length_exceeded",
        "This model's maximum context length is 512 tokens.",
        None,
    )


def test_a_field_keeps_its_name_without_the_engines_prefix() -> None:
    message = (
        "1 validation error:\n  {'type': 'int_parsing', 'loc': 'body.n', 'msg': 'Input should be a valid integer'}"
    )
    error = from_answer(400, body(message, "body.n"))
    assert (error.code, error.message, error.param) == ("invalid_value", "Input should be a valid integer", "n")


def test_only_the_first_problem_is_told_in_plain_words() -> None:
    message = "2 validation errors:\n  {'type': 'a', 'msg': \"It's wrong\"}\n  {'type': 'b', 'msg': 'also'}"
    assert clean(message) == "It's wrong"


def test_an_unknown_model_and_an_unknown_route_differ() -> None:
    assert from_answer(404, body("The model `x` does not exist.", "model")).code == "model_not_found"
    assert from_answer(404, b'{"detail":"Not Found"}').code == "unsupported_route"


@pytest.mark.parametrize("status", [500, 501, 503])
def test_the_servers_errors_tell_nothing(status: int) -> None:
    error = from_answer(status, body("secret /opt/x.py", code=status))
    assert error.code == "engine_error"
    assert "secret" not in error.message


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"not json", b'{"error":"text"}'])
def test_an_error_that_cannot_be_read_is_still_an_error(raw: bytes) -> None:
    assert from_answer(400, raw).code == "invalid_value"
    assert from_answer(500, raw).code == "engine_error"


def test_what_the_engine_refused_is_the_clients_error_however_the_application_says_it() -> None:
    for error in (
        from_answer(500, b"", "Grammar error: x"),
        from_event(b'event: error\ndata: {"type":"error","error":{"type":"internal_error"}}\n\n', "Grammar error: x"),
        from_exception("Grammar error: x"),
    ):
        assert (error.code, error.message) == ("invalid_value", "Grammar error: x")


def test_an_event_carries_its_own_status() -> None:
    assert from_event(b'data: {"error": {"message": "bad", "param": "p", "code": 400}}\n\n').param == "p"
    assert from_event(b'data: {"error": {"message": "bad", "code": 500}}\n\ndata: [DONE]\n\n').code == "engine_error"
    assert from_event(b'data: {"error"').code == "engine_error"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("object at 0x7fdeadbeef failed", "object at <address> failed"),
        ("cannot read /home/x/models/a.json now", "cannot read <path> now"),
        ("n must be at most 8. To increase this limit, set the VLLM_MAX environment variable.", "n must be at most 8."),
        ("No store. To enable it, set the environment variable `A=1` when launching.", "No store."),
        ("1/2 of a and/or b", "1/2 of a and/or b"),
    ],
)
def test_messages_lose_paths_addresses_and_advice_to_operators(message: str, told: str) -> None:
    assert clean(message) == told


def test_a_long_message_is_cut() -> None:
    assert len(clean("x" * 10_000)) == 500
