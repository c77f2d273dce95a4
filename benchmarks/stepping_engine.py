"""The fake engine behind our worker, sending as vLLM's application does: one ASGI message for each event.

The fake engine itself joins tokens that are ready together. That would leave nothing to do for the way to the client,
while the peers get one HTTP chunk for each event; so it is taken apart again here.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.mock_engine import split_events
from libs.testkit.fake_engine import FakeEngine, FakeSettings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class SteppingEngine(FakeEngine):
    """The fake engine with one message for each event."""

    async def app(self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """ASGI 3 application."""

        async def step(message: Message) -> None:
            body = message.get("body", b"")
            if not body.startswith(b"data: "):
                await send(message)
                return
            for event in split_events(body):
                await send({"type": "http.response.body", "body": event, "more_body": True})
            if not message["more_body"]:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await super().app(scope, receive, step)


def build(settings: FakeSettings) -> SteppingEngine:
    """The factory that `INFERENCE_ENGINE=benchmarks.stepping_engine:build` names."""
    return SteppingEngine(settings.model_name)
