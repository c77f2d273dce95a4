"""A mock OpenAI engine over HTTP: the upstream of the peers, and what "engine called directly" means.

It answers from prepared bytes, so that what is measured is the way to it. The bytes are those of the engine behind our
own worker (`benchmarks.stepping_engine`): as many tokens as `max_tokens` says; with `user: "pace-10ms"` so much time
between two of them, else all at once. As from vLLM's server, every event is an HTTP chunk of its own.
"""

import argparse
import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import msgspec
import uvloop

from libs.testkit import fake_answers
from libs.testkit.fake_pace import Pacer

_PACE: Final = re.compile(r"pace-(\d+)ms")
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_CONTENT_LENGTH: Final = b"content-length:"
_EVENT_END: Final = b"\n\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_CREATED_S: Final = 1_700_000_000
_ID: Final = "0123456789abcdef01234567"


class ChatRequest(msgspec.Struct):
    """The fields of a chat request that shape the answer."""

    model: str
    messages: msgspec.Raw
    stream: bool = False
    max_tokens: int = 16
    user: str | None = None

    @property
    def pace_ms(self) -> int:
        """Milliseconds between two tokens."""
        match = _PACE.fullmatch(self.user or "")
        return int(match[1]) if match else 0


@dataclass(frozen=True)
class Answer:
    """One answer: as plain body and events, and as it goes over the wire whole, at once, and token by token."""

    body: bytes
    events: tuple[bytes, ...]
    whole: bytes
    burst: bytes
    steps: tuple[bytes, ...]


_decode = msgspec.json.Decoder(ChatRequest).decode


def split_events(body: bytes) -> list[bytes]:
    """The server-sent events in `body`, each with the empty line that ends it."""
    return [event + _EVENT_END for event in body.split(_EVENT_END) if event]


def _chunked(body: bytes) -> bytes:
    """`body` with one HTTP chunk for each event."""
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in split_events(body))


def _with_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@lru_cache(maxsize=64)
def prepare(model: str, messages: bytes, tokens: int) -> Answer:
    """Render the answer to one prompt once."""
    words = fake_answers.tokens_of(messages, 0, tokens)
    prompt_tokens = 1 + len(messages) // 4
    call = fake_answers.Call(_ID, model, _CREATED_S, messages, prompt_tokens, words, include_usage=False)
    rendered = fake_answers.chat_stream(call).steps(words)
    body = fake_answers.chat_full(call)
    steps = [_chunked(step) for step in rendered]
    steps[0] = _STREAM_HEAD + steps[0]
    steps[-1] += _LAST_CHUNK
    events = tuple(event for step in rendered for event in split_events(step))
    return Answer(body, events, _with_length(body), b"".join(steps), tuple(steps))


_MODELS: Final = _with_length(json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}).encode())


class MockEngine(asyncio.Protocol):
    """One connection; requests on it are answered in turn."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._paced: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _reason: Exception | None) -> None:
        """Stop answers that nobody reads any more."""
        for task in self._paced:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every complete request that has arrived."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            body_end = end + 4 + _content_length(head)
            if len(self._received) < body_end:
                return
            body = self._received[end + 4 : body_end]
            self._received = self._received[body_end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if head.startswith(b"GET "):
            transport.write(_MODELS)
        elif not head.startswith(b"POST /v1/chat/completions "):
            transport.write(_NOT_FOUND)
        else:
            self._complete(transport, _decode(body))

    def _complete(self, transport: asyncio.Transport, request: ChatRequest) -> None:
        answer = prepare(request.model, bytes(request.messages), request.max_tokens)
        if not request.pace_ms:
            transport.write(answer.burst if request.stream else answer.whole)
            return
        steps = answer.steps if request.stream else (b"",) * (request.max_tokens - 1) + (answer.whole,)
        task = asyncio.get_running_loop().create_task(_paced(transport, steps, _pacer(request.pace_ms)))
        self._paced.add(task)
        task.add_done_callback(self._paced.discard)


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(_CONTENT_LENGTH)
    return int(lowered[at + len(_CONTENT_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _paced(transport: asyncio.Transport, steps: tuple[bytes, ...], pacer: Pacer) -> None:
    """Send the first step at once and one more at each tick; all requests share the ticks, as in an engine's batch."""
    for index, step in enumerate(steps):
        if index:
            await pacer.wait(1)
        if step:
            transport.write(step)


@lru_cache(maxsize=8)
def _pacer(pace_ms: int) -> Pacer:
    return Pacer(pace_ms / 1_000)


async def serve(port: int) -> None:
    """Serve on 127.0.0.1 until cancelled."""
    server = await asyncio.get_running_loop().create_server(MockEngine, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Run the engine on the port that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
