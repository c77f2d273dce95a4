"""Both sides of the comparison answer with the same bytes."""

import json
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.mock_engine import prepare
from benchmarks.stepping_engine import build

PROMPT = [{"role": "user", "content": "hi"}]
Message = MutableMapping[str, Any]


async def sent(request: dict[str, object]) -> list[Message]:
    engine = build(SimpleNamespace(model_name="mock"))
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await engine.app({"type": "http", "path": "/v1/chat/completions"}, receive, send)
    return messages


def texts(stream: bytes) -> list[str]:
    events = [line.removeprefix("data: ") for line in stream.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]]


@pytest.mark.parametrize("user", [None, "pace-1ms"])
async def test_every_event_is_a_message_of_its_own(user: str | None) -> None:
    request = {"model": "mock", "messages": PROMPT, "max_tokens": 64, "stream": True, "user": user}
    start, *bodies = await sent(request)
    assert start["status"] == 200
    full = [message["body"] for message in bodies if message["body"]]
    assert len(full) == 66
    assert all(body.count(b"data: ") == 1 and body.endswith(b"\n\n") for body in full)
    assert [message["more_body"] for message in bodies] == [True] * (len(bodies) - 1) + [False]


async def test_the_mock_engine_says_the_same_words() -> None:
    request = {"model": "mock", "messages": PROMPT, "max_tokens": 64, "stream": True}
    ours = b"".join(message.get("body", b"") for message in await sent(request))
    mock = prepare("mock", json.dumps(PROMPT).encode(), 64)
    assert texts(ours) == texts(b"".join(mock.steps))
    assert len(texts(ours)) == 65


async def test_whole_answers_have_the_same_size() -> None:
    request = {"model": "mock", "messages": PROMPT, "max_tokens": 64}
    body = (await sent(request))[-1]["body"]
    mock = prepare("mock", json.dumps(PROMPT).encode(), 64).whole.partition(b"\r\n\r\n")[2]
    assert len(body) == len(mock)
    assert json.loads(body)["choices"] == json.loads(mock)["choices"]
