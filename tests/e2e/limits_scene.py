"""Two gateways, one identity process, fake workers, real servers; and clients that keep account of every answer."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from libs.contracts.identity import Limits
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.platform import Platform
from libs.testkit.ports import free_port
from libs.testkit.service_process import ServiceProcess

MAX_TOKENS: Final = 8
ASKED: Final[dict[str, Any]] = {
    "model": "helpdesk",
    "messages": [{"role": "user", "content": "What does item 7 cost?"}],
    "max_tokens": MAX_TOKENS,
}
OK: Final = 200
REFUSED: Final = 429
_ANSWER_S: Final = 600.0
RESERVED: Final = len(msgspec.json.encode(ASKED)) + MAX_TOKENS
"""Tokens that one request may take at most, as a gateway reckons."""


@dataclass(frozen=True)
class Answer:
    """What one request was answered."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """Of the error."""
        return str(self.body["error"]["code"])

    @property
    def is_final(self) -> bool:
        """Whether it says that asking again is of no use."""
        return self.headers.get("x-should-retry") == "false"

    @property
    def retry_after_s(self) -> float:
        """When to ask again."""
        return float(self.headers["retry-after-ms"]) / 1000


@dataclass
class Account:
    """What clients were told."""

    answered: int = 0
    tokens: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    """Connections that ended without an answer: only a killed gateway may cause these."""

    def note(self, answer: Answer) -> bool:
        """Keep account of one answer; whether it is a good one."""
        if answer.status == OK:
            self.answered += 1
            self.tokens += int(answer.body["usage"]["total_tokens"])
            return True
        self.codes[answer.code] += 1
        return False


async def ask(port: int, key: str, *, path: str = "/v1/chat/completions", **more: Any) -> Answer:
    """One request on a connection of its own, for little processor time, as there are thousands of them.

    Raises:
        OSError, EOFError: the connection ended first.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await _ask(port, key, path, more)
    except TimeoutError as error:
        raise AssertionError(f"nobody answered within {_ANSWER_S} s") from error


async def _ask(port: int, key: str, path: str, more: dict[str, Any]) -> Answer:
    content = msgspec.json.encode({**ASKED, **more})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        raw = await reader.read(-1)
    finally:
        writer.close()
    first, _, rest = raw.partition(b"\r\n")
    lines, end, body = rest.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
    if not end or len(body) < int(headers["content-length"]):
        raise EOFError
    return Answer(int(first.split()[1]), headers, msgspec.json.decode(body))


@dataclass
class Scene:
    """Everything that runs."""

    desk: IdentityDesk
    identity: ServiceProcess
    gateways: list[ServiceProcess]
    ports: list[int]

    async def key(self, project: str, limits: Limits) -> str:
        """A key of a new project with these limits, known to every gateway."""
        await self.desk.project(project, limits=limits)
        key = (await self.desk.key(project)).secret
        for port in self.ports:
            await self.known(port, key)
        return key

    async def known(self, port: int, key: str) -> None:
        """Return when a gateway accepts a key and knows the model."""
        async with asyncio.timeout(120):
            while True:
                try:
                    answer = await ask(port, key, max_tokens=1_000_000_000)
                except (OSError, EOFError):
                    await asyncio.sleep(0.1)
                    continue
                # Too much for any limit: refused as soon as the key is known.
                if answer.status == REFUSED:
                    return
                await asyncio.sleep(0.1)

    async def kill_gateway(self, index: int) -> None:
        """`kill -9`, and start it again in the same place."""
        await self.gateways[index].end(signal.SIGKILL)
        await self.gateways[index].start()

    async def kill_identity(self) -> None:
        """`kill -9`, and start it again."""
        await self.identity.end(signal.SIGKILL)
        await self.identity.start()


@asynccontextmanager
async def scene(ground: IdentityGround) -> AsyncIterator[Scene]:
    """Started, and ended with the block."""
    with Platform(ground.directory / "path", ground.nats, workers=1) as platform:
        ports = [free_port(), free_port()]
        gateways = [ServiceProcess("gateway", ground.directory, _environment(platform, port)) for port in ports]
        async with ground.desk() as desk, ground.started_process(lead_s=2) as identity:
            for gateway in gateways:
                await gateway.start()
            try:
                yield Scene(desk, identity, gateways, ports)
            finally:
                for gateway in gateways:
                    await gateway.end()


def _environment(platform: Platform, port: int) -> dict[str, str]:
    return {
        **platform.nats.environment("GATEWAY_NATS__", "gateway"),
        "GATEWAY_PORT": str(port),
        "GATEWAY_API_KEYS_FILE": str(platform.directory / "api_keys"),
        "GATEWAY_IDENTITY": "true",
        "GATEWAY_QUEUE_TIMEOUT_S": "300",
    }
