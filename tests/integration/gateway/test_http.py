"""What a connection promises, on bare sockets: several requests, odd requests, and what comes between them."""

import asyncio
import re

import msgspec
import pytest

from libs.kit import clock
from libs.testkit.front import CHAT, CHAT_PATH, KEY, Front
from libs.testkit.path_double import Double, Work
from libs.testkit.wait import until
from services.gateway.connection import KEEP_ALIVE_S, ClientConnection

BODY = msgspec.json.encode(CHAT)


def _head(
    target: str = CHAT_PATH, method: str = "POST", *more: str, length: int = len(BODY), version: str = "1.1"
) -> bytes:
    lines = (f"{method} {target} HTTP/{version}", "Host: x", f"Authorization: Bearer {KEY}", *more)
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


class _Wire:
    """One bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, front: Front) -> "_Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", front.port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of the next answer."""
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if b"transfer-encoding: chunked" in head:
                return status, head, await self._chunks()
            length = re.search(rb"content-length: (\d+)", head)
            return status, head, await self.reader.readexactly(int(length[1])) if length else b""

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return body

    async def closed(self) -> bytes:
        """What still comes before the other side closes."""
        async with asyncio.timeout(20):
            return await self.reader.read()


def _echo(work: Work) -> None:
    """Answers at once with what was asked, streamed if that was wanted."""
    work.accept()
    content_type = "text/event-stream" if work.envelope.stream else "application/json"
    work.head(work.body[:10], content_type)
    work.last(work.body[10:])


@pytest.fixture
def echo(double: Double) -> Double:
    double.on_work = _echo
    return double


@pytest.mark.usefixtures("echo")
async def test_many_requests_follow_each_other_on_one_connection(front: Front) -> None:
    wire = await _Wire.to(front)
    streamed = msgspec.json.encode(CHAT | {"stream": True})
    for body in (BODY, streamed, BODY):
        wire.send(_head(length=len(body)) + body)
        status, head, got = await wire.response()
        assert (status, got) == (200, body)
        assert b"\r\ndate: " in head
        assert b"connection: close" not in head
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await wire.response())[::2] == (200, b"ok")
    wire.send(_head() + BODY)
    assert (await wire.response())[::2] == (200, BODY)


async def test_pipelined_requests_of_both_kinds_are_answered_in_order(front: Front, double: Double) -> None:
    wire = await _Wire.to(front)
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.send(_head() + BODY + health + _head() + BODY + health)
    for number in (b"first", b"second"):
        work = await double.next()
        assert double.work.empty(), "the next one begins when this one has ended"
        work.answer(number)
        assert (await wire.response())[::2] == (200, number)
        assert (await wire.response())[::2] == (200, b"ok")


@pytest.mark.parametrize(
    "target",
    [
        f"{CHAT_PATH}?api-version=1",
        "/v1/chat%2Fcompletions",
        f"http://elsewhere{CHAT_PATH}",
    ],
)
@pytest.mark.usefixtures("echo")
async def test_a_hot_path_is_known_in_every_spelling(front: Front, target: str) -> None:
    wire = await _Wire.to(front)
    wire.send(_head(target) + BODY)
    assert (await wire.response())[::2] == (200, BODY)


async def test_what_is_near_a_hot_path_is_not_found(front: Front) -> None:
    for target in (f"{CHAT_PATH}/", f"{CHAT_PATH}s?x=/v1/completions", "/v1%2Fnothing"):
        wire = await _Wire.to(front)
        wire.send(_head(target) + BODY)
        assert (await wire.response())[0] == 404


async def test_another_method_is_refused_and_head_gets_no_body(front: Front) -> None:
    wire = await _Wire.to(front)
    for method in ("GET", "HEAD", "DELETE"):
        wire.send(_head(CHAT_PATH, method, length=0))
        async with asyncio.timeout(20):
            head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: POST\r\n" in head
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        if method != "HEAD":
            assert b"method_not_allowed" in await wire.reader.readexactly(int(length[1]))


@pytest.mark.usefixtures("echo")
async def test_a_body_may_come_in_pieces_in_chunks_and_after_a_go_ahead(front: Front) -> None:
    wire = await _Wire.to(front)
    wire.send(_head(CHAT_PATH, "POST", "Expect: 100-continue"))
    async with asyncio.timeout(20):
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    for byte in BODY:
        wire.send(bytes([byte]))
        await wire.writer.drain()
        await asyncio.sleep(0)
    assert (await wire.response())[::2] == (200, BODY)
    head = _head().replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
    wire.send(head + b"%x\r\n%b\r\n" % (len(BODY), BODY) + b"0\r\n\r\n")
    assert (await wire.response())[::2] == (200, BODY)


@pytest.mark.usefixtures("echo")
async def test_who_wants_the_connection_closed_gets_it_closed(front: Front) -> None:
    for more, version in ((("Connection: close",), "1.1"), ((), "1.0")):
        wire = await _Wire.to(front)
        wire.send(_head(CHAT_PATH, "POST", *more, version=version) + BODY)
        status, head, body = await wire.response()
        assert (status, body) == (200, BODY)
        assert b"connection: close\r\n" in head
        assert await wire.closed() == b""


@pytest.mark.usefixtures("echo")
async def test_a_stream_to_an_old_client_ends_with_the_connection(front: Front) -> None:
    body = msgspec.json.encode(CHAT | {"stream": True})
    wire = await _Wire.to(front)
    wire.send(_head(length=len(body), version="1.0") + body)
    async with asyncio.timeout(20):
        head = await wire.reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert await wire.closed() == body


async def test_nonsense_is_refused_and_the_connection_closed(front: Front, double: Double) -> None:
    wire = await _Wire.to(front)
    wire.send(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert (await wire.closed()).startswith(b"HTTP/1.1 400 ")
    wire = await _Wire.to(front)
    wire.send(_head() + BODY)
    work = await double.next()
    wire.send(b"nonsense \x00 behind a request\r\n\r\n")
    await wire.closed()
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


@pytest.mark.usefixtures("echo")
async def test_only_a_connection_that_was_used_and_rests_too_long_is_closed(front: Front) -> None:
    fresh, used = await _Wire.to(front), await _Wire.to(front)
    used.send(_head() + BODY)
    await used.response()
    connections = front.server.server_state.connections
    await until(lambda: sum(isinstance(each, ClientConnection) for each in connections) >= 2, what="both connections")

    def look(at_s: float) -> None:
        for connection in list(connections):
            assert isinstance(connection, ClientConnection)
            connection.close_if_idle(at_s - KEEP_ALIVE_S)

    look(clock.monotonic_s())
    used.send(_head() + BODY)
    assert (await used.response())[0] == 200
    look(clock.monotonic_s() + KEEP_ALIVE_S + 1)
    assert await used.closed() == b""
    fresh.send(_head() + BODY)
    assert (await fresh.response())[0] == 200
