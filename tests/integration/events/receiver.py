"""Somebody who takes webhooks, well or badly, on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

HANG: Final = 0
"""Instead of a status: no answer at all."""
CUT: Final = -1
"""The connection is dropped."""


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """Which event it brought."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers what `answer` says, by default 204."""

    answer: Callable[[Got], int] = lambda _: 204
    port: int = 0
    tls: ssl.SSLContext | None = None
    got: list[Got] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """For as long as the block lasts."""
        connections: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.add(writer)
            try:
                await self._serve(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                # The sender gave up.
                pass
            finally:
                connections.discard(writer)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in connections:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        got = Got(head[0].split(" ")[1], headers, body)
        self.got.append(got)
        status = self.answer(got)
        if status == HANG:
            await reader.read()
        elif status != CUT:
            where = f"location: http://127.0.0.1:{self.port}/elsewhere\r\n" if 300 <= status < 400 else ""
            writer.write(f"HTTP/1.1 {status} So\r\n{where}content-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
