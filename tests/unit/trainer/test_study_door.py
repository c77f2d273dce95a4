"""Customers at the door of a platform that loses requests, breaks answers off, is busy, or refuses."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from services.trainer.corpus.items import Role, Turn
from services.trainer.study import door as doors
from services.trainer.study.customers import Habits
from services.trainer.study.door import Door, NoAnswerError
from services.trainer.study.live import Judged, LiveTraffic
from services.trainer.study.served_desk import ServedDesk

VERSION = "helpdesk@sha256:aaaaaaaaaaaa"
BODY = {"model": "helpdesk", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def whole(asked: Asked) -> bytes:
    """What the desk says, in one piece or streamed, and a judgement's confirmation."""
    if asked.path == "/v1/feedback":
        return answer(201, {"id": "sig_1"})
    if asked.body.get("stream"):
        return http(200, stream("Hel", "lo.") + b"data: [DONE]\n\n", kind="text/event-stream")
    choice = {"message": {"content": " Hello. "}, "finish_reason": "stop"}
    return answer(200, {"id": "chatcmpl-1", "choices": [choice]})


def stream(*pieces: str) -> bytes:
    chunks = [{"id": "chatcmpl-1", "choices": [{"delta": {"content": piece}}]} for piece in pieces]
    end = {"id": "chatcmpl-1", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in (*chunks, end))


def answer(status: int, body: Any) -> bytes:
    return http(status, msgspec.json.encode(body))


def http(status: int, content: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-llmos-model-version: {VERSION}\r\n"
    return f"{head}content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content


@dataclass
class Platform:
    """Answers by a script, then as a platform should; nothing at all where the script says nothing."""

    script: list[bytes] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    then: Callable[[Asked], bytes] = whole

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = msgspec.json.decode(await reader.readexactly(int(headers["content-length"])))
        self.asked.append(Asked(first.split()[1], headers, body))
        writer.write(self.script.pop(0) if self.script else self.then(self.asked[-1]))
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "_PAUSE_S", 0.001)


async def test_what_gets_no_answer_is_sent_again_under_its_key_and_counted() -> None:
    platform = Platform(script=[b"", b""])
    async with platform.running() as url:
        door = Door(url, "key")
        said = await door.chat(BODY, {"x-llmos-episode": "e-1"})
        await door.judge({"inference_id": said.id, "kind": "thumb", "value": True})
        await door.close()
    assert (said.id, said.text, said.stopped, said.version) == ("chatcmpl-1", "Hello.", True, VERSION)
    keys = [one.headers["idempotency-key"] for one in platform.asked]
    assert [one.path for one in platform.asked] == ["/v1/chat/completions"] * 3 + ["/v1/feedback"]
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert {one.headers["x-llmos-episode"] for one in platform.asked[:3]} == {"e-1"}
    assert (door.troubles.lost, door.troubles.busy) == (2, 0)


async def test_a_stream_without_its_end_counts_as_no_answer() -> None:
    broken = http(200, stream("Hel"), kind="text/event-stream")
    failed = http(200, b'data: {"error": {"message": "x"}}\n\n', kind="text/event-stream")
    platform = Platform(script=[broken, failed])
    async with platform.running() as url:
        door = Door(url, "key")
        said = await door.chat(BODY | {"stream": True}, {})
        await door.close()
    assert (said.text, said.stopped) == ("Hello.", True)
    assert door.troubles.lost == 2


async def test_who_is_asked_to_come_later_does_and_who_is_refused_does_not() -> None:
    platform = Platform(script=[answer(503, {}), answer(429, {}), answer(201, {}), answer(422, {"code": "x"})])
    async with platform.running() as url:
        door = Door(url, "key")
        await door.judge({"kind": "thumb"})
        with pytest.raises(NoAnswerError, match="422"):
            await door.judge({"kind": "thumb"})
        await door.close()
    assert (door.troubles.busy, door.troubles.lost, len(platform.asked)) == (2, 0, 4)


async def test_a_platform_that_never_answers_is_given_up() -> None:
    platform = Platform(script=[b""] * doors.ATTEMPTS)
    async with platform.running() as url:
        door = Door(url, "key")
        with pytest.raises(NoAnswerError, match=f"{doors.ATTEMPTS} attempts"):
            await door.judge({"kind": "thumb"})
        await door.close()
    assert len(platform.asked) == doors.ATTEMPTS


async def test_one_customer_without_an_answer_ends_the_round_with_its_reason() -> None:
    platform = Platform(then=lambda _: answer(500, {"error": "on fire"}))
    async with platform.running() as url:
        desk = ServedDesk(url, "key", "helpdesk")
        with pytest.raises(NoAnswerError, match="on fire"):
            await desk.ask([(Turn(Role.USER, "Hello"),)] * 3)
        await desk.close()


async def test_live_customers_stay_in_their_episode_judge_by_topic_and_survive_refusals() -> None:
    platform = Platform(script=[answer(500, {"error": "x"})] * 3)
    judged: list[Judged] = []
    enough = asyncio.Event()

    def told(one: Judged) -> None:
        judged.append(one)
        if len(judged) >= 60:
            enough.set()

    async with platform.running() as url:
        desk = ServedDesk(url, "key", "helpdesk", temperature=None)
        live = LiveTraffic(desk, Habits(), 3, at_once=5, told=told)
        coming = asyncio.create_task(live.run())
        async with asyncio.timeout(60):
            await enough.wait()
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await desk.close()
    questions = [one for one in platform.asked if one.path.endswith("completions")]
    thumbs = [one.body for one in platform.asked if one.path == "/v1/feedback"]
    assert live.unanswered.total() == 3
    assert {one.version for one in judged} == {VERSION}
    assert all(one.headers["x-llmos-episode"] == one.body["user"] for one in questions)
    assert not any("temperature" in one.body for one in questions)
    assert {one.body["stream"] for one in questions} == {True, False}
    assert max(Counter(one.headers["x-llmos-episode"] for one in questions).values()) > 1
    assert {one["rater"] for one in thumbs} <= {one.body["user"] for one in questions}
    assert len({one["tags"][0] for one in thumbs}) >= 5
