"""`GET /v1/events`: own events only, in order, resumed anywhere, by server-sent events and by WebSocket."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
import pytest
import websockets

from libs.contracts import subjects
from libs.contracts.identity import KeyRecord
from libs.contracts.permissions import Role
from libs.contracts.public_events import TYPES, CloudEvent, PublicNews
from libs.contracts.topology import PUBLIC
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.testkit.front import KEY, Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.streams import jetstream
from libs.testkit.wait import until
from tests.integration.gateway.admin_scene import ADMIN

OTHER = "sk-other"
DONE, JOB = "dev.llmos.request.completed.v1", "dev.llmos.job.changed.v1"
WAIT_S = 40.0
UPGRADE = (
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return {**admin_keys, "event_beat_s": 0.3}


class Voice:
    """Publishes as the events service does."""

    def __init__(self, bus: BusClient) -> None:
        self._bus = bus
        self._publisher = StoredPublisher(bus, source="llmos", inbox="_INBOX.voice", timeout_s=WAIT_S)
        self._publisher.start()
        # The shared server recognises ids of other tests.
        self._mine = f"~{clock.new_event_id()}"

    async def say(self, *ids: str, tenant: str = "acme", kind: str = DONE, padding: int = 0, news: bool = True) -> None:
        """Publish events with these ids."""
        events = [
            Event(f"{each}{self._mine}", subjects.public(tenant, kind), 1, body(each, tenant, kind, padding), kind)
            for each in ids
        ]
        await self._publisher.store(events)
        if news:
            told = PublicNews((subjects.public_token(tenant),))
            self._bus.publish(subjects.PUBLIC_NEWS, msgspec.json.encode(told))


def body(event_id: str, tenant: str, kind: str, padding: int) -> bytes:
    data = msgspec.Raw(msgspec.json.encode({"text": "x\ny" * padding}))
    event = CloudEvent(
        id=event_id, source="llmos", type=kind, time=clock.rfc3339(1), tenant=tenant, subject="s", data=data
    )
    return msgspec.json.encode(event)


@asynccontextmanager
async def speaking(server: NatsServer) -> AsyncIterator[Voice]:
    bus = BusClient(server.options("events"))
    await bus.connect()
    try:
        yield Voice(bus)
    finally:
        await bus.close()


class Ears:
    """One listener by server-sent events: what it has heard, and the id that it would go on from."""

    def __init__(self, front: Front, query: str = "", *, key: str = KEY) -> None:
        self._front, self._query, self._key = front, query, key
        self.heard: list[str] = []
        self.named: list[tuple[str, Any]] = []
        self.beats = 0
        self.last_id = ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        await until(lambda: self.beats > 0 or self._ended, timeout_s=WAIT_S, what="the first sign of life")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def hears(self, *ids: str) -> None:
        await until(lambda: len(self.heard) >= len(ids), timeout_s=WAIT_S, what=f"{len(ids)} events")
        assert self.heard == list(ids)

    async def ends(self) -> None:
        await until(lambda: self._ended, timeout_s=WAIT_S, what="the end of the stream")

    async def _listen(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"} | ({"last-event-id": self.last_id} if self.last_id else {})
        async with self._front.http.stream(
            "GET", f"/v1/events?{self._query}", headers=headers, timeout=WAIT_S
        ) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    self.beats += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                else:
                    self._take(fields)
                    fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        self.last_id = fields.get("id", self.last_id)
        if "event" in fields:
            self.named.append((fields["event"], json.loads(fields["data"])))
        elif "data" in fields:
            self.heard.append(json.loads(fields["data"])["id"])


@pytest.mark.asyncio(loop_scope="session")
async def test_a_tenant_hears_its_own_events_and_goes_on_where_it_was(front: Front, nats: NatsServer) -> None:
    async with speaking(nats) as voice:
        await voice.say("before")
        async with Ears(front) as ears:
            await voice.say("a1", "a2")
            await voice.say("d1", tenant="default")
            await voice.say("p1", tenant="")
            await voice.say("a3", kind=JOB)
            await ears.hears("a1", "a2", "a3")
        await voice.say("a4", tenant="default")
        await voice.say("a5", "a6")
        async with ears:
            await ears.hears("a1", "a2", "a3", "a5", "a6")
        async with Ears(front, "after=0") as whole:
            await whole.hears("before", "a1", "a2", "a3", "a5", "a6")
        async with Ears(front, "after=0&type=dev.llmos.job.*") as some:
            await some.hears("a3")
            await voice.say("a7", "a8")
            await voice.say("a9", kind=JOB)
            await some.hears("a3", "a9")
        assert not [*ears.named, *whole.named, *some.named]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_platform_hears_everybody_or_whom_it_names(front: Front, nats: NatsServer) -> None:
    async with speaking(nats) as voice:
        await voice.say("a1")
        await voice.say("d1", tenant="default")
        await voice.say("p1", tenant="")
        for query, ids in (("", ("a1", "d1", "p1")), ("&tenant=acme", ("a1",)), ("&tenant=_platform", ("p1",))):
            async with Ears(front, f"after=0{query}", key=ADMIN) as ears:
                await ears.hears(*ids)
        async with Ears(front, "after=0", key=OTHER) as other:
            await other.hears("d1")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_listener_whom_nobody_told_looks_by_itself_and_is_kept_alive(front: Front, nats: NatsServer) -> None:
    async with speaking(nats) as voice, Ears(front) as ears:
        await until(lambda: ears.beats > 2, timeout_s=WAIT_S, what="signs of life")
        await voice.say("a1", news=False)
        await ears.hears("a1")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_place_that_is_no_more_is_told(front: Front, nats: NatsServer) -> None:
    async with speaking(nats) as voice:
        await voice.say("a1", "a2")
        ears = Ears(front)
        ears.last_id = "99999999999"
        async with ears:
            await ears.hears("a1", "a2")
        assert ears.named == [("gap", {"first": 0, "last": 0})]
        place = int(ears.last_id)
        await voice.say("a3", "a4")
        async with jetstream(nats) as context:
            await context.purge_stream(PUBLIC.name)
        await voice.say("a5")
        async with Ears(front, f"after={place}") as late, Ears(front, "after=0") as oldest:
            await late.hears("a5")
            await oldest.hears("a5")
        assert late.named == [("gap", {"first": place + 1, "last": place + 2})]
        assert not oldest.named


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("query", "key", "status", "param"),
    [
        ("", "sk-nobody", 401, None),
        ("?tenant=default", KEY, 404, "tenant"),
        ("?tenant=_platform", KEY, 404, "tenant"),
        ("?type=dev.llmos.nothing.v1", KEY, 400, "type"),
        ("?type=%3E", KEY, 400, "type"),
        ("?after=-1", KEY, 400, "after"),
        ("?after=x", KEY, 400, "after"),
        ("?subject=pub.%3E", KEY, 400, "subject"),
        ("?type=" + ",".join(f"{TYPES[0][:-1]}*{n}" for n in range(40)), KEY, 400, "type"),
    ],
)
async def test_what_is_refused(front: Front, query: str, key: str, status: int, param: str | None) -> None:
    answer = await front.http.get(f"/v1/events{query}", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await socket(front, query.removeprefix("?"), key=key)
    assert refused.value.response.status_code == status


@pytest.mark.asyncio(loop_scope="session")
async def test_by_websocket(front: Front, nats: NatsServer) -> None:
    async with speaking(nats) as voice:
        await voice.say("a1")
        async with await socket(front) as first:
            began = await message(first)
            await voice.say("d1", tenant="default")
            await voice.say("a2", "a3")
            heard = [await event(first), await event(first)]
        assert [each["event"]["id"] for each in heard] == ["a2", "a3"]
        assert heard[0]["position"] > began["position"]
        await voice.say("a4")
        async with await socket(front, f"after={heard[0]['position']}&type=*.completed.*") as again:
            assert [(await event(again))["event"]["id"] for _ in range(2)] == ["a3", "a4"]
            await again.send("x" * 100)
            await voice.say("a5")
            assert (await event(again))["event"]["id"] == "a5"
    await until(lambda: len(front.gateway.feed) == 0, timeout_s=WAIT_S, what="no listener")


@pytest.mark.asyncio(loop_scope="session")
async def test_websocket_after_a_hot_request_on_the_same_connection(front: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 405 " in await reader.readline()
    while await reader.readline() != b"\r\n":
        pass
    await reader.readexactly(0)
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{UPGRADE}\r\n".encode())
    async with asyncio.timeout(WAIT_S):
        while b"HTTP/1.1 101" not in (line := await reader.readline()):
            assert line
    writer.close()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("overrides", [{"client_stall_s": 0.3}])
@pytest.mark.parametrize("how", ["sse", "websocket"])
async def test_who_takes_nothing_is_cut_off(front: Front, nats: NatsServer, how: str) -> None:
    async with speaking(nats) as voice:
        for start in range(0, 300, 20):
            await voice.say(*(f"a{start + n}" for n in range(20)), padding=20_000)
        _, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1_024)
        head = f"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}{UPGRADE if how == 'websocket' else ''}\r\n".encode())
        await until(lambda: len(front.gateway.feed) == 1, timeout_s=WAIT_S, what="the listener")
        await until(lambda: len(front.gateway.feed) == 0, timeout_s=WAIT_S, what="the end of the listener")
        await until(
            lambda: not front.server.server_state.connections, timeout_s=WAIT_S, what="the end of its connection"
        )
        writer.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_stopping_gateway_lets_its_listeners_go(front: Front) -> None:
    async with Ears(front) as ears, await socket(front) as other:
        front.gateway.begin_drain()
        await ears.ends()
        async with asyncio.timeout(WAIT_S):
            await other.wait_closed()
        assert other.close_code == 1001


@pytest.mark.asyncio(loop_scope="session")
async def test_a_key_that_is_revoked_listens_no_more(front: Front, nats: NatsServer) -> None:
    secret = "llmos-for-a-while"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    record = KeyRecord(id="key_1", digest=digest, role=Role.VIEWER, tenant="acme")
    keyring = front.gateway.endpoint._keyring
    keyring.change([record])
    async with speaking(nats) as voice, Ears(front, key=secret) as ears, await socket(front, key=secret) as other:
        await voice.say("a1")
        await ears.hears("a1")
        keyring.change([msgspec.structs.replace(record, is_revoked=True)])
        await ears.ends()
        assert [(name, data["code"]) for name, data in ears.named] == [("error", "invalid_api_key")]
        async with asyncio.timeout(WAIT_S):
            await other.wait_closed()
        assert other.close_code == 1008


async def socket(front: Front, query: str = "", *, key: str = KEY) -> websockets.ClientConnection:
    """A connection by WebSocket."""
    url = f"ws://127.0.0.1:{front.port}/v1/events?{query}"
    return await websockets.connect(
        url, additional_headers={"authorization": f"Bearer {key}"}, open_timeout=WAIT_S, proxy=None
    )


async def message(connection: websockets.ClientConnection) -> Any:
    """The next object."""
    async with asyncio.timeout(WAIT_S):
        return json.loads(await connection.recv())


async def event(connection: websockets.ClientConnection) -> Any:
    """The next that is an event."""
    while "event" not in (found := await message(connection)):
        pass
    return found
