"""One execution: the engine's application is called once, and what it sends becomes frames."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from libs.contracts.inference import Envelope, FrameMeta, Running, ServiceClass
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Span
from services.inference import answers, spans
from services.inference.body import engine_body
from services.inference.bundles import Bundler
from services.inference.engine import Engine, EngineRequest, Message
from services.inference.frames import FrameWriter
from services.inference.outbox import Outbox

log = structlog.get_logger(__name__)

_PRIORITIES: Final = {ServiceClass.REALTIME: b"-10", ServiceClass.STANDARD: b"0", ServiceClass.BATCH: b"10"}
_GRACE_S: Final = 1.0
_ERROR_STATUS: Final = 400


class Stop(StrEnum):
    """Why an execution was ended before the engine was done."""

    CANCELLED = "cancelled"
    OPERATOR = "operator"
    """Called off by somebody else than its client."""
    DEADLINE = "deadline"
    SHUTDOWN = "shutdown"
    ENGINE_DEAD = "engine_dead"
    UNWANTED = "unwanted"
    """Nobody can receive the answer: no last frame is sent."""


_STOP_ERRORS: Final = {
    Stop.OPERATOR: ServiceError("cancelled_by_operator", "An operator has cancelled the request."),
    Stop.DEADLINE: ServiceError("deadline_exceeded", "The request did not finish before its deadline."),
    Stop.SHUTDOWN: ServiceError("shutting_down", "The worker had to stop before the answer was complete."),
    # To the gateway a worker without an engine is a dead worker: what the client has seen nothing of is tried again.
    Stop.ENGINE_DEAD: ServiceError("worker_lost", "The engine died while it worked on this request."),
}


@dataclass(frozen=True)
class Surroundings:
    """What all executions of a worker share."""

    engine: Engine
    outbox: Outbox
    on_end: Callable[["Execution"], None]
    """Called exactly once per execution, when nothing of it is left in the engine."""


class Execution:
    """Runs one request. The order at its end is fixed: engine free, last frame, release, `on_end`."""

    def __init__(
        self, surroundings: Surroundings, envelope: Envelope, attempt: int, body: bytes, span: Span | None = None
    ) -> None:
        self.envelope = envelope
        self._span = span
        self._first_chunk_s: float | None = None
        self._code = ""
        self.running = Running(envelope.request_id, attempt)
        self.accepted_s = clock.monotonic_s()
        self.outcome = ""
        self._engine = surroundings.engine
        self._outbox = surroundings.outbox
        self._on_end = surroundings.on_end
        self._body = body
        self._writer = FrameWriter(self, envelope.reply, attempt)
        self._add = self._writer.add
        self.gateway = self._writer.gateway
        self._request: EngineRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._stop: Stop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Event | None = None
        self._asked = False
        self._status = 0
        self._streaming = False
        """Whether bytes of a good answer go straight to the writer."""
        self._failed = False
        self._error_body: list[bytes] = []
        self._marked = False
        self.is_counted = True
        """Whether a scheduler may know of it and must hear of its end: not of one that only a gateway has ordered."""

    def accept(self, bundler: Bundler, meta: FrameMeta) -> None:
        """Tell the gateway that the request is taken."""
        self._writer.accept(bundler, meta)

    def start(self) -> None:
        """Begin; returns at once. One that was stopped meanwhile stays stopped."""
        if self._stop is not None:
            return
        self._task = asyncio.create_task(self._run())
        left_s = (self.envelope.deadline_ms - clock.unix_ms()) / 1_000
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self.stop, Stop.DEADLINE)

    def stop(self, reason: Stop) -> None:
        """Take it out of the engine and end it; the first reason counts."""
        if self._stop is None and not self.outcome:
            self._stop = reason
            self._streaming = False
            self._stopping = asyncio.create_task(self._take_out())

    async def ended(self) -> None:
        """Wait until nothing of it is left."""
        if self._task is not None:
            await asyncio.wait((self._task,))
        if self._stopping is not None:
            await asyncio.wait((self._stopping,))

    def flush(self, bundler: Bundler) -> int:
        """Send what the application has sent since the last flush (called by the outbox)."""
        self._marked = False
        return self._writer.flush(bundler)

    def lose(self) -> None:
        """A frame could not be published, so the rest is of no use."""
        self.stop(Stop.UNWANTED)

    # Calling the application

    async def _run(self) -> None:
        if self._span is not None:
            tracing.enter(self._span)
        try:
            body = engine_body(self._body, self.envelope, adapters=self._engine.has_adapters)
            self._request = self._engine.open(self.envelope.request_id)
            self._body = body
            await self._engine.app(self._scope(len(body)), self._receive, self._send)
            if not self._writer.ended and self._stop is None:
                log.error("the application ended without an answer", request=self.envelope.request_id)
                self._fail(answers.from_exception(self._refusal()))
        except ServiceError as error:
            self._fail(error)
        except asyncio.CancelledError:
            if self._stop is None:
                raise
        except Exception:
            # Whatever one request did to the application, the others go on.
            if self._stop is None:
                if not self._refusal():
                    log.exception("the application failed", request=self.envelope.request_id)
                self._fail(answers.from_exception(self._refusal()))
        finally:
            if self._stop is None:
                self._end("error" if self._failed else "ok")

    def _scope(self, length: int) -> dict[str, Any]:
        """An ASGI scope of a server that raises on a lost client (2.4), so that no task has to listen for it."""
        path = self.envelope.route
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % length),
                (b"x-request-id", self.envelope.request_id.encode()),
                (b"x-vllm-priority", _PRIORITIES[self.envelope.service_class]),
            ],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            body, self._body = self._body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        self._gone = self._gone or asyncio.Event()
        if self._stop is None:
            await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        """What the application sends; called once per event, so the common case comes first."""
        body = message.get("body", b"")
        if self._streaming and message.get("more_body", False) and not body.startswith(answers.ERROR_EVENTS):
            if body:
                self._add(body)
                if not self._marked:
                    self._mark()
        elif self._stop is not None:
            raise OSError("the client is gone")
        elif message["type"] == "http.response.start":
            self._on_start(message)
        elif message["type"] == "http.response.body":
            self._on_body(body, more=message.get("more_body", False))

    def _on_start(self, message: Message) -> None:
        self._status = int(message["status"])
        if self._status < _ERROR_STATUS:
            content_type = next((value for name, value in message["headers"] if name == b"content-type"), b"")
            self._writer.start(self._status, content_type.decode("latin-1"))
            self._streaming = self._stop is None

    def _on_body(self, body: bytes, *, more: bool) -> None:
        if self._writer.ended:
            return
        if self._status >= _ERROR_STATUS:
            self._error_body.append(body)
            if not more:
                self._fail(answers.from_answer(self._status, b"".join(self._error_body), self._refusal()))
            return
        if body.startswith(answers.ERROR_EVENTS):
            self._fail(answers.from_event(body, self._refusal()))
            return
        if body:
            self._writer.add(body)
        elif more:
            return
        if not more:
            self._writer.end(self._request.usage if self._request else None)
        self._mark()

    def _refusal(self) -> str:
        return self._request.refusal if self._request is not None else ""

    def _mark(self) -> None:
        if not self._marked:
            self._marked = True
            self._outbox.mark(self)
        if self._writer.urgent:
            if self._span is not None and self._first_chunk_s is None:
                self._first_chunk_s = clock.monotonic_s() - self.accepted_s
            self._outbox.hurry()

    def _fail(self, error: ServiceError) -> None:
        if error.code == "engine_error" and self._engine.is_dead:
            error = _STOP_ERRORS[Stop.ENGINE_DEAD]
        self._streaming = False
        if not self._writer.ended:
            self._failed = True
            self._code = error.code
            self._writer.fail(error, self._request.usage if self._request else None)
            self._mark()

    # Ending

    async def _take_out(self) -> None:
        """Free the engine, then say so."""
        try:
            if self._gone is not None:
                self._gone.set()
            await self._free_engine()
        except Exception:
            # The engine could not confirm; its health is watched elsewhere, and the gateway must not wait for ever.
            log.exception("abort failed", request=self.envelope.request_id)
        if self._stop is Stop.CANCELLED and not self._writer.ended:
            self._writer.cancel(self._request.usage if self._request else None)
            self._mark()
        elif self._stop is not None and self._stop in _STOP_ERRORS:
            self._fail(_STOP_ERRORS[self._stop])
        self._end(str(self._stop))

    async def _free_engine(self) -> None:
        task = self._task
        if self._stop is Stop.ENGINE_DEAD or task is None:
            if task is not None:
                task.cancel()
            return
        if self._status or not self._asked:
            # A streamed answer has begun: nobody listens for the disconnect any more.
            task.cancel()
        if self._request is not None:
            await self._request.abort()
        if not task.done():
            await asyncio.wait((task,), timeout=_GRACE_S)
            task.cancel()
        if self._request is not None and self._request.running:
            await self._request.abort()

    def _end(self, outcome: str) -> None:
        if self.outcome:
            return
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
        if self.is_counted:
            self._outbox.release(self.running)
        if self._span is not None:
            usage = self._request.usage if self._request is not None else None
            spans.end(self._span, outcome, usage, first_chunk_s=self._first_chunk_s, code=self._code)
        self._on_end(self)
