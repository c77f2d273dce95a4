"""How each kind of server is asked whether it can serve; standard library only, one short connection per question."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from deploy.local.ports import HOST

_TIMEOUT_S: Final = 2.0
_POSTGRES_PROTOCOL: Final = 196_608


@dataclass(frozen=True)
class HttpReady:
    """Ready when `GET path` answers 200."""

    port: int
    path: str

    async def __call__(self, _: float) -> bool:
        """Ask once."""
        request = f"GET {self.path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nConnection: close\r\n\r\n".encode()
        return (await _ask(self.port, request, until=b"\n")).split(b" ")[1:2] == [b"200"]


@dataclass(frozen=True)
class GreetsWith:
    """Ready when the server's first bytes are these."""

    port: int
    greeting: bytes

    async def __call__(self, _: float) -> bool:
        """Ask once."""
        return (await _ask(self.port, b"", until=b" ")).startswith(self.greeting)


@dataclass(frozen=True)
class PostgresReady:
    """Ready when PostgreSQL asks for a password instead of saying that it is starting up."""

    port: int
    user: str

    async def __call__(self, _: float) -> bool:
        """Ask once."""
        fields = b"user\0" + self.user.encode() + b"\0\0"
        request = struct.pack("!ii", len(fields) + 8, _POSTGRES_PROTOCOL) + fields
        return (await _ask(self.port, request, size=1)) == b"R"


async def _ask(port: int, request: bytes, *, until: bytes = b"", size: int = 0) -> bytes:
    """What the server answers, up to a separator or a size; empty if it does not."""
    try:
        async with asyncio.timeout(_TIMEOUT_S), _connection(port) as (reader, writer):
            writer.write(request)
            return await (reader.readuntil(until) if until else reader.readexactly(size))
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


@contextlib.asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
