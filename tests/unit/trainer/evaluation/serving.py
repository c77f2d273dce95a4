"""A serving plane of one function on a real socket, for tests of those who ask it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from libs.testkit.ports import free_port
from libs.testkit.wait import until

Reply = tuple[int, Any]
"""Status and body; text is streamed as an answer, a dictionary is an error, None breaks the stream off."""


@dataclass
class Plane:
    """What it was asked, and where it listens."""

    answer: Callable[[dict[str, Any], int], Reply]
    """From the request and how often this question was asked before."""
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        assert scope["type"] == "http"
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message["body"], message.get("more_body", False)
        body = json.loads(content)
        before = sum(one == body for one in self.asked)
        self.asked.append(body)
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        status, said = self.answer(body, before)
        self.running -= 1
        kind = b"text/event-stream" if isinstance(said, str) else b"application/json"
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        reply = _stream(said) if isinstance(said, str) else json.dumps(said).encode()
        await send({"type": "http.response.body", "body": reply})


def refusal(status: int, code: str) -> Reply:
    """An error as the gateway words it."""
    return status, {"error": {"message": f"{code}!", "type": "server_error", "param": None, "code": code}}


@asynccontextmanager
async def serving(answer: Callable[[dict[str, Any], int], Reply]) -> AsyncIterator[Plane]:
    """Listen until the end of the block."""
    port = free_port()
    plane = Plane(answer, f"http://127.0.0.1:{port}/v1")
    config = uvicorn.Config(
        plane.app, host="127.0.0.1", port=port, interface="asgi3", log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="the serving plane")
    try:
        yield plane
    finally:
        server.should_exit = True
        await task


def _stream(text: str) -> bytes:
    chunks: list[dict[str, Any]] = [{"content": part} for part in (text[:1], text[1:]) if part]
    events = [_chunk(delta, None) for delta in chunks]
    if not text.endswith("…"):
        events.append(_chunk({}, "stop"))
        events.append(b"data: [DONE]\n\n")
    return b"".join(events)


def _chunk(delta: dict[str, Any], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
