"""The engine behind our worker in the benchmark: the mock engine's prepared answers, sent as vLLM's application sends.

Each event is an ASGI message of its own, as each is an HTTP chunk of its own for the peers; answers that are not paced
come from the same prepared bytes, so that on both sides the engine itself costs next to nothing.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from benchmarks.mock_engine import ChatRequest, prepare, split_events
from libs.contracts.inference import Usage
from libs.testkit.fake_engine import FakeEngine, FakeRequest, FakeSettings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

_STREAM: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]
_JSON: Final = [(b"content-type", b"application/json")]
_decode = msgspec.json.Decoder(ChatRequest).decode


class SteppingEngine(FakeEngine):
    """The fake engine with prepared answers and one message for each event."""

    def __init__(self, model_name: str) -> None:
        super().__init__(model_name)
        self._opened: FakeRequest | None = None

    def open(self, request_id: str) -> FakeRequest:
        """Follow the current task's next call of `app`, which comes without a break."""
        self._opened = super().open(request_id)
        return self._opened

    async def app(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI 3 application."""
        opened, self._opened = self._opened, None
        message = await receive()
        request = _decode(message["body"])
        if not request.pace_ms:
            if opened is not None:
                opened.usage = _usage(request.max_tokens)
            for part in _parts(request.model, bytes(request.messages), request.max_tokens, stream=request.stream):
                await send(part)
            return

        async def again() -> Message:
            return message

        async def step(message: Message) -> None:
            body = message.get("body", b"")
            if not body.startswith(b"data: "):
                await send(message)
                return
            for event in split_events(body):
                await send({"type": "http.response.body", "body": event, "more_body": True})
            if not message["more_body"]:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await super().app(scope, again, step)


@lru_cache(maxsize=8)
def _usage(tokens: int) -> Usage:
    return Usage(prompt_tokens=1, completion_tokens=tokens, finish_reason="length")


@lru_cache(maxsize=64)
def _parts(model: str, messages: bytes, tokens: int, *, stream: bool) -> tuple[Message, ...]:
    """The ASGI messages of one answer."""
    answer = prepare(model, messages, tokens)
    bodies = (*answer.events, b"") if stream else (answer.body,)
    last = len(bodies) - 1
    return (
        {"type": "http.response.start", "status": 200, "headers": _STREAM if stream else _JSON},
        *({"type": "http.response.body", "body": body, "more_body": i < last} for i, body in enumerate(bodies)),
    )


def build(settings: FakeSettings) -> SteppingEngine:
    """The factory that `INFERENCE_ENGINE=benchmarks.stepping_engine:build` names."""
    return SteppingEngine(settings.model_name)
