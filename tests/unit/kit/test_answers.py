"""Answers put together from the bytes of every dialect, whole, streamed, cut and broken."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.kit.dialogue.answers import answered, asked
from libs.testkit.fake_answers import (
    STREAMS,
    Call,
    chat_full,
    completion_full,
    messages_full,
    tokens_of,
)
from libs.testkit.fake_responses import responses_full, responses_steps

CALL = Call("0" * 24, "helpdesk", 1, b"Hi", 2, tokens_of(b"Hi", 1, 40), include_usage=True)
TEXT = msgspec.json.decode(b'"%b"' % b"".join(CALL.tokens))
FULL = {
    "/v1/chat/completions": chat_full(CALL),
    "/v1/completions": completion_full(CALL),
    "/v1/responses": responses_full(CALL),
    "/v1/messages": messages_full(CALL),
}
STREAMED = {
    **{route: make(CALL).burst(CALL.tokens) for route, make in STREAMS.items()},
    "/v1/responses": b"".join(responses_steps(CALL)),
}
ROUTES = sorted(FULL)


def sse(*events: dict[str, Any]) -> str:
    return "".join(f"data: {msgspec.json.encode(event).decode()}\n\n" for event in events)


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize("route", ROUTES)
def test_one_document(route: str) -> None:
    answer = answered(route, FULL[route].decode())
    assert answer.message == {"role": "assistant", "content": TEXT}
    assert answer.whole


@pytest.mark.parametrize("route", ROUTES)
def test_an_event_stream_says_the_same_as_one_document(route: str) -> None:
    answer = answered(route, STREAMED[route].decode())
    assert answer.message == {"role": "assistant", "content": TEXT}
    assert answer.whole


@pytest.mark.parametrize("route", ROUTES)
def test_a_stream_cut_anywhere_gives_a_beginning_of_the_answer(route: str) -> None:
    stream = STREAMED[route]
    for cut in range(0, len(stream), 97):
        answer = answered(route, stream[:cut].decode(errors="replace"))
        content = answer.message["content"] if answer.message else ""
        assert TEXT.startswith(content)
        assert answer.whole <= (content == TEXT)


@given(data=st.binary(max_size=300), route=st.sampled_from(ROUTES))
def test_whatever_the_bytes_are_it_is_an_answer_or_none(data: bytes, route: str) -> None:
    text = data.decode(errors="replace")
    for body in (text, f"data: {text}\n\n", f'data: {{"choices":[{text}]}}\n\n'):
        answer = answered(route, body)
        assert answer.message is None or answer.message["role"] == "assistant"
        msgspec.json.encode(answer.message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "type", "index", "tool_calls", "function", "output", "text",
             "item", "output_index", "messages", "input", "role", "system", "prompt", "name", "arguments", "id"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(value=JSON, kind=st.sampled_from(["content_block_start", "response.output_item.added", "x"]))
def test_no_shape_of_json_breaks_it(value: Any, kind: str) -> None:
    for route in ROUTES:
        body = msgspec.json.encode(value)
        asked(route, body)
        answered(route, body.decode())
        event = {**value, "type": kind} if isinstance(value, dict) else {"choices": value}
        answered(route, sse(event, {"type": "message_stop"}))


def test_tool_calls_come_together_from_their_pieces() -> None:
    stream = sse(
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"q":'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "say", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]}),
        chunk({}, "tool_calls"),
    )
    assert answered("/v1/chat/completions", stream + "data: [DONE]\n\n").message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"q":"x"}'}},
            {"id": "b", "type": "function", "function": {"name": "say", "arguments": "{}"}},
        ],
    }


def test_anthropic_tool_use_and_thought() -> None:
    stream = sse(
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "look"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"q"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
        {"type": "message_stop"},
    )
    streamed = answered("/v1/messages", stream)
    use = {"type": "tool_use", "id": "t", "name": "look", "input": {"q": 1}}
    document = {"content": [{"type": "thinking", "thinking": "Hm."}, use]}
    assert streamed.message == answered("/v1/messages", msgspec.json.encode(document).decode()).message
    assert streamed.message is not None
    assert streamed.message["reasoning"] == "Hm."
    assert streamed.message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"q":1}'}


def test_responses_function_call() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "look", "arguments": ""}
    stream = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"q":'},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "1}"},
        {"type": "response.completed", "response": {}},
    )
    document = msgspec.json.encode({"output": [{**item, "arguments": '{"q":1}'}]}).decode()
    assert answered("/v1/responses", stream).message == answered("/v1/responses", document).message


def test_only_the_first_choice_is_the_answer() -> None:
    stream = sse(chunk({"content": "one"}), chunk({"content": "two"}, index=1), chunk({}, "stop"))
    message = answered("/v1/chat/completions", stream).message
    assert message is not None
    assert message["content"] == "one"


def test_an_error_in_the_middle_leaves_what_came_and_says_that_it_is_not_all() -> None:
    answer = answered("/v1/chat/completions", sse(chunk({"content": "Good"}), {"error": {"message": "lost"}}))
    assert answer.message == {"role": "assistant", "content": "Good"}
    assert not answer.whole


def test_line_ends_and_spaces_of_every_kind() -> None:
    stream = (
        'event: x\r\ndata:{"choices":[{"delta":{"content":"a"}}]}\r\n\r\n: ping\n\ndata: {"choices":[\ndata: ]}\n\n'
    )
    assert answered("/v1/chat/completions", stream).message == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("route", ["/v1/embeddings", "/tokenize"])
def test_other_routes_have_no_answer(route: str) -> None:
    assert answered(route, '{"data":[]}').message is None
    assert asked(route, b'{"input":"x"}') is None


@pytest.mark.parametrize(
    ("route", "body", "expected"),
    [
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}]},
            [{"role": "user", "content": "Hi"}],
        ),
        ("/v1/completions", {"prompt": "Hi"}, [{"role": "user", "content": "Hi"}]),
        ("/v1/completions", {"prompt": ["Hi", "Ho"]}, [{"role": "user", "content": "Hi"}]),
        ("/v1/completions", {"prompt": [1, 2]}, None),
        (
            "/v1/responses",
            {"instructions": "Be kind.", "input": "Hi"},
            [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        ),
        (
            "/v1/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "4"},
                ]
            },
            [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "4"},
            ],
        ),
        (
            "/v1/messages",
            {
                "system": [{"type": "text", "text": "Be kind."}],
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]},
                ],
            },
            [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "t", "content": "4"},
            ],
        ),
        ("/v1/chat/completions", {"messages": "x"}, None),
    ],
)
def test_what_was_asked(route: str, body: dict[str, Any], expected: Any) -> None:
    assert asked(route, msgspec.json.encode(body)) == expected


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"messages":', b"\xff\xfe"])
def test_a_body_that_cannot_be_read_asks_nothing(body: bytes) -> None:
    for route in ROUTES:
        assert asked(route, body) is None
