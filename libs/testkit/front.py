"""A gateway served in the test's own process, and clients for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted
from libs.contracts.topology import EVT_INFERENCE
from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from libs.testkit.streams import stream_messages
from libs.testkit.wait import until
from services.gateway.app import Gateway, build_app
from services.gateway.server import Server
from services.gateway.settings import Settings

KEY: Final = "sk-llmos-test"
CHAT_PATH: Final = "/v1/chat/completions"
CHAT: Final = {"model": "helpdesk", "messages": [{"role": "user", "content": "Hi"}]}


@dataclass
class Front:
    """A running gateway and ways to ask it."""

    gateway: Gateway
    server: Server
    http: httpx2.AsyncClient
    port: int

    async def post(self, path: str = CHAT_PATH, body: Any = CHAT, **headers: str) -> httpx2.Response:
        """Ask and wait for the whole answer; `x_request_id=…` becomes the header `x-request-id`."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, content=content, headers=names)

    def ask(self, path: str = CHAT_PATH, body: Any = CHAT, **headers: str) -> asyncio.Task[httpx2.Response]:
        """Begin to ask."""
        return asyncio.create_task(self.post(path, body, **headers))

    async def connect(self, body: Any = CHAT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection on which one request was sent, for clients that misbehave."""
        content = msgspec.json.encode(body)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        return reader, writer


def settings_for(server: NatsServer, directory: Path, **more: Any) -> Settings:
    """Settings of a gateway that is impatient, so that tests are quick; two keys, `KEY` of tenant `acme`."""
    keys = directory / "keys"
    keys.write_text(f"# keys\nalice:{KEY} acme\nsk-other\n", encoding="utf-8")
    impatient = {"beat_s": 0.1, "sweep_s": 0.05, "queue_timeout_s": 5, "queue_slack_s": 0.1, "drain_timeout_s": 1}
    basic = {"port": free_port(), "api_keys_file": keys, "nats": server.settings("gateway")}
    return Settings.model_validate({**basic, **impatient, **more})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Front]:
    """The gateway as in production, but in this process."""
    gateway = build_app(settings)
    server = Server(gateway)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started or task.done(), what="the gateway's start")
    base_url = f"http://127.0.0.1:{settings.port}"
    async with httpx2.AsyncClient(base_url=base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=20) as http:
        yield Front(gateway, server, http, settings.port)
    server.should_exit = True
    await task


async def stored_events(server: NatsServer) -> list[RequestCompleted]:
    """Every completed request that the stream of events holds, oldest first."""
    found = await stream_messages(server, EVT_INFERENCE.name)
    return [
        msgspec.json.decode(message.data or b"", type=RequestCompleted)
        for message in found
        if message.subject == subjects.COMPLETED
    ]
