"""A service's page: `/metrics` for Prometheus, `/healthz` for whoever restarts it, `/readyz` for what is missing.

Its own threads answer, so that reading some hundred numbers does not hold up the event loop, and a loop that hangs
can still be told from a process that is gone.
"""

import asyncio
import concurrent.futures
import socketserver
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import msgspec
import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.kit.health import Finding, Health
from libs.kit.metrics import parts
from libs.kit.metrics.measure import Measure
from libs.kit.metrics.readings import Read, Readings, Rows
from libs.kit.starting import StartError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 16
"""Questions that are answered at the same time; more are hung up on."""
_CLIENT_S: Final = 10.0
"""How long a client may take to say what it wants, and to take it."""
_LOOP_S: Final = 5.0
"""An event loop that has not turned for so long hangs."""


class Page:
    """Shows what one process counts, and how it is."""

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        """Prepare; nothing is opened before `start`, and nothing at all if the port is 0."""
        self._address = address
        self._health = health
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Server | None = None
        self.registry = CollectorRegistry()
        """What this process shows beside what its plumbing counts."""
        ProcessCollector(registry=self.registry)
        self.look_up("health", (parts.READY, parts.MISSING), self._how_it_is)

    def show(self, registry: CollectorRegistry) -> None:
        """Show what is counted there, too."""
        self.registry.register(Joined(registry))

    def look_up(self, name: str, measures: tuple[Measure, ...], read: Read) -> None:
        """Show numbers that are read when somebody asks for the page."""
        self.registry.register(Readings(name, measures, read, lambda: self._loop))

    def see(self, measure: Measure, value: Callable[[], float]) -> None:
        """Show one number that this process knows by itself."""

        async def read() -> dict[Measure, Rows]:
            return {measure: (((), value()),)}

        self.look_up(measure.name, (measure,), read)

    def start(self) -> None:
        """Answer from now on; to be called in the event loop.

        Raises:
            StartError: the address is in use, or is none of this machine.
        """
        host, port = self._address
        if not port:
            return
        self._loop = asyncio.get_running_loop()
        everything = CollectorRegistry()
        everything.register(Joined(self.registry, parts.PLUMBING))
        try:
            self._server = _Server(self._address, self._application(make_wsgi_app(everything)))
        except OSError as error:
            text = f"{host}:{port} cannot be opened: {error.strerror or error}; choose another port, 0 opens none."
            raise StartError("METRICS_PORT", text) from error
        threading.Thread(target=self._server.serve_forever, name="page", daemon=True).start()

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(server.shutdown)
            server.server_close()

    def _application(self, metrics: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path == "/metrics":
                return metrics(environ, start)  # type: ignore[no-any-return] # the library does not say
            if path == "/healthz":
                return _say(start, *self._healthz())
            if path == "/readyz":
                return _say(start, *self._readyz())
            return _say(start, "404 Not Found", {"error": "There are /metrics, /healthz and /readyz."})

        return answer

    def _healthz(self) -> tuple[str, dict[str, Any]]:
        """Whether the event loop turns."""
        if self._ask(_nothing()) is None:
            return "503 Service Unavailable", {"alive": False, "why": f"The event loop hangs, for {_LOOP_S:g} s now."}
        return "200 OK", {"alive": True}

    def _readyz(self) -> tuple[str, dict[str, Any]]:
        """What is missing."""
        found = self._ask(self._health.look())
        if found is None:
            found = Finding(missing=("event_loop",))
        said = {"ready": found.is_ready, "missing": found.missing, "degraded": found.degraded}
        return ("200 OK" if found.is_ready else "503 Service Unavailable"), said

    def _ask(self, question: Awaitable[Finding]) -> Finding | None:
        """What the event loop says; None if it hangs."""
        assert self._loop is not None  # noqa: S101 - nobody asks before `start`
        asked = asyncio.run_coroutine_threadsafe(_awaited(question), self._loop)
        try:
            return asked.result(_LOOP_S)
        except (TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return None

    async def _how_it_is(self) -> dict[Measure, Rows]:
        found = await self._health.look()
        lacks = set(found.lacks)
        return {
            parts.READY: (((), float(found.is_ready)),),
            parts.MISSING: [((name,), float(name in lacks)) for name in self._health.depends],
        }


class Joined(Collector):
    """Several registries as one."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = registries

    def describe(self) -> Iterable[Metric]:
        """Nothing: each registry knows its own, and nothing is read to find out."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One registry after the other."""
        for registry in self._registries:
            yield from registry.collect()


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        log.debug("page asked", what=format % args)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each question, and not too many of them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], application: Callable[..., Iterable[bytes]]) -> None:
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        """Without asking for the machine's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take it, unless too many are being answered."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's call
        """A client that went away, or said nonsense; nobody else is concerned."""
        log.debug("page not answered", reason=str(sys.exception()))


async def _nothing() -> Finding:
    return Finding()


async def _awaited(question: Awaitable[Finding]) -> Finding:
    return await question


def _say(start: "StartResponse", status: str, body: dict[str, Any]) -> list[bytes]:
    data = msgspec.json.encode(body)
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
