"""One client's connection: the hot paths are answered here, everything else by uvicorn's own way through ASGI.

An ASGI server makes a scope, messages and header lists for each request, and checks each of them, and takes a timer for
each pause between two requests. Where the gateway knows both sides, that was a fifth of its time.
"""

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from libs.contracts.requests import ROUTES, RouteContract
from libs.kit import clock
from services.gateway.transport import OneWritePerTick

KEEP_ALIVE_S: Final = 75.0
_HOT: Final = {path.encode(): route for route in ROUTES.values() for path in (route.path, *route.aliases)}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"

Serve = Callable[["HotRequest"], Awaitable[None]]


class ClientConnection(HttpToolsProtocol):
    """One client's connection; a request may watch it and drop it."""

    transport: OneWritePerTick
    gone = False
    _on_lost: Callable[[], None] | None = None
    _idle_since_s = 0.0
    """Since when the next request is waited for; 0 while one is under way, and before the first."""

    def __init__(self, serve: Serve, **state: Any) -> None:
        """Answer hot paths by `serve`; `state` is uvicorn's."""
        super().__init__(**state)
        self._serve = serve

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class
        """Collect what is written."""
        super().connection_made(OneWritePerTick(transport))
        # Whoever answers through ASGI may drop a client that takes nothing.
        self.app_state = {**self.app_state, "abort": transport.abort}

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered."""
        self.gone = True
        super().connection_lost(exc)
        if self._on_lost is not None:
            self._on_lost()

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Call `on_lost` once when the connection is lost, at once if it is; None ends that."""
        self._on_lost = on_lost
        if self.gone and on_lost is not None:
            on_lost()

    def close_if_idle(self, since_s: float) -> None:
        """Close it if no request has come since `since_s`; asked now and then instead of a timer per request."""
        if 0.0 < self._idle_since_s < since_s and not self.transport.is_closing():
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless a request on a hot path asks for it: that one is being answered."""
        if _HOT.get(self.url) is None and _unusual(self.url) is None:
            super().handle_websocket_upgrade()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin without a scope: few requests need one."""
        self._idle_since_s = 0.0
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Take a request on a hot path; leave any other to the base class."""
        route = _HOT.get(self.url) or _unusual(self.url)
        if route is None:
            self._take_as_asgi()
            return
        before = self.cycle
        request = HotRequest(self, route)
        self.cycle = request  # type: ignore[assignment] # it has what the base class touches
        if before is None or before.response_complete:
            self._start_asgi_task(request, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type] # as above

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        if isinstance(self.cycle, HotRequest):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        if isinstance(self.cycle, HotRequest):
            self.cycle.complete()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what waits behind this request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since_s = clock.monotonic_s()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, HotRequest):
            task = self.loop.create_task(cycle.run(self._serve))
            cycle.task = task
            self.tasks.add(task)
        else:
            super()._start_asgi_task(cycle, app)

    def _take_as_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()


class HotRequest:
    """One request on a hot path, from its headers to the last byte of its answer."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects_continue",
        "_head",
        "_more",
        "_news",
        "_parts",
        "disconnected",
        "headers",
        "keep_alive",
        "method",
        "response_complete",
        "route",
        "task",
        "version",
    )

    def __init__(self, connection: ClientConnection, route: RouteContract) -> None:
        """Begin when the headers are complete."""
        parser = connection.parser
        self._connection = connection
        self.route = route
        self.method: bytes = parser.get_method()
        self.version: str = parser.get_http_version()
        self.headers = connection.headers
        self.keep_alive = self.version != "1.0" and parser.should_keep_alive()
        self.disconnected = False
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None
        self._expects_continue = connection.expect_100_continue
        self._parts: list[bytes] = []
        self._more = True
        self._news: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False

    async def run(self, serve: Serve) -> None:
        """Have it served, and drop the connection if the answer is not whole then."""
        try:
            await serve(self)
        finally:
            connection = self._connection
            connection.tasks.discard(self.task)
            if not self.response_complete and not self.disconnected:
                connection.transport.close()

    # What the connection tells

    def feed(self, body: bytes) -> None:
        """Part of the body is here."""
        if not self.response_complete:
            self._parts.append(body)
            self.set()

    def complete(self) -> None:
        """The body is whole."""
        self._more = False
        self.set()

    @property
    def message_event(self) -> "HotRequest":
        """What the base class sets when the connection is lost."""
        return self

    def set(self) -> None:
        """Something happened: the body's reader looks again."""
        news = self._news
        if news is not None and not news.done():
            news.set_result(None)

    # What the request may ask

    @property
    def gone(self) -> bool:
        """Whether the connection is lost."""
        return self._connection.gone

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Call `on_lost` once when the connection is lost; None ends that."""
        self._connection.watch(on_lost)

    def abort(self) -> None:
        """Drop the connection at once, with whatever waits to be sent."""
        self._connection.transport.abort()

    async def receive(self) -> dict[str, Any]:
        """The next part of the body, as an ASGI message."""
        if self._expects_continue and self._more and not self._connection.transport.is_closing():
            self._connection.transport.write_now(_CONTINUE)
        self._expects_continue = False
        while self._more and not self._parts and not self.disconnected:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self.disconnected:
            return {"type": "http.disconnect"}
        parts, self._parts = self._parts, []
        return {"type": "http.request", "body": b"".join(parts), "more_body": self._more}

    def begin(self, status: int, lines: bytes, *, whole: bool) -> None:
        """Fix status and header lines, which leave with the first bytes; a `whole` answer names its own length."""
        self._chunked = not whole and self.version != "1.0"
        self._head = b"%b%b%b%b%b\r\n" % (
            STATUS_LINE[status],
            _rendered(tuple(self._connection.server_state.default_headers)),
            lines,
            b"" if self.keep_alive else _CLOSE,
            _CHUNKED if self._chunked else b"",
        )

    @property
    def blocked(self) -> bool:
        """Whether the client takes nothing just now."""
        return self._connection.flow.write_paused and not self.gone

    async def drained(self) -> None:
        """Wait until the client takes bytes again, or is gone."""
        await self._connection.flow.drain()

    def write(self, body: bytes, *, more: bool) -> None:
        """Send bytes of the answer; without `more` it is complete."""
        if self.gone:
            return
        head, self._head = self._head, b""
        if self.method == b"HEAD":
            data = head
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data = b"%b%b%b" % (head, chunk, b"" if more else _LAST_CHUNK)
        else:
            data = head + body
        transport = self._connection.transport
        if data:
            transport.write_now(data)
        if not more:
            self.response_complete = True
            if not self.keep_alive:
                transport.close()
            self._connection.on_response_complete()


def _unusual(url: bytes) -> RouteContract | None:
    """The hot path behind a target with a query, escapes or a host."""
    if b"?" not in url and b"%" not in url and url.startswith(b"/"):
        return None
    path = httptools.parse_url(url).path or b""
    return _HOT.get(urllib.parse.unquote(path.decode("ascii")).encode())


@lru_cache(maxsize=4)
def _rendered(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The server's own headers, which change once a second."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
