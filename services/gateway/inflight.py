"""One request on the bus: which execution answers it, what has arrived, how it ended. No input or output of its own."""

import asyncio
from enum import IntEnum
from typing import Final

from libs.contracts.frames import Flag, Frame, retry_of
from libs.contracts.inference import Envelope, Usage
from libs.kit.errors import ServiceError
from services.gateway.exchange import Exchange

EVENT_STREAM: Final = "text/event-stream"
UNPINNED: Final = -1

# Plain integers: testing an IntFlag member costs several times as much, and this runs once per frame.
_ACCEPTED: Final = int(Flag.ACCEPTED)
_HEAD: Final = int(Flag.HEAD)
_LAST: Final = int(Flag.LAST)
_ERROR: Final = int(Flag.ERROR)
_CANCELLED: Final = int(Flag.CANCELLED)
_WORKER_GONE: Final = frozenset(("worker_lost", "shutting_down"))
_NOT_SERVED: Final = "model_not_found"
_ENDS_BADLY: Final = _ERROR | _CANCELLED


class Verdict(IntEnum):
    """What a frame meant; tells the relay what to do about it."""

    TAKEN = 0
    PINNED = 1
    """Its execution is the one that answers from now on."""
    FOREIGN = 2
    """It belongs to an execution that does not answer; an `ACCEPTED` one must be called off."""
    BROKEN = 3
    """Bytes were lost; the request has failed and the execution must be called off."""
    LOST = 4
    """The execution ended without an answer, through no fault of the request."""
    OVERFLOW = 5
    """More waits for the client than may."""
    WITHDRAWN = 6
    """The version that a split chose is served no more."""


class InFlight:
    """A submitted request and its answer as far as it has come."""

    __slots__ = (
        "_chunks",
        "_waiter",
        "attempt",
        "body",
        "buffered_bytes",
        "client_gone",
        "content_type",
        "deaths",
        "direct_worker",
        "ended",
        "envelope",
        "error",
        "exchange",
        "max_buffered_bytes",
        "max_response_bytes",
        "missed_beats",
        "model_version",
        "next_seq",
        "queue_ms",
        "status",
        "stored_seq",
        "streamed",
        "unheard",
        "unstored",
        "usage",
        "worker",
        "worker_name",
    )

    def __init__(
        self, exchange: Exchange, envelope: Envelope, body: bytes, *, max_buffered_bytes: int, max_response_bytes: int
    ) -> None:
        """Begin before the first submission."""
        self.exchange = exchange
        self.envelope = envelope
        self.body = body
        self.max_buffered_bytes = max_buffered_bytes
        self.max_response_bytes = max_response_bytes
        self.client_gone = False
        self.deaths = 0
        """Workers that died while they answered it."""
        self.direct_worker = ""
        """Whom this gateway gave it without a scheduler; counted there until it is submitted otherwise or over."""
        self.unheard = 0
        """Submissions given up without an answer, of each of which the server may still say that nobody listens."""
        self.ended = False
        self.error: ServiceError | None = None
        self.usage: Usage | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._forget_execution()

    def _forget_execution(self) -> None:
        self.attempt = UNPINNED
        self.next_seq = 1
        self.stored_seq = 0
        """Where the stream has it, or had it; 0 while it is not known to have."""
        self.unstored = False
        """Given to a worker or a scheduler without being stored; not yet known to be stored or taken."""
        self.worker = ""
        self.worker_name = ""
        self.model_version = ""
        self.queue_ms = 0
        self.missed_beats = 0
        self.status = 0
        self.content_type = ""
        self.streamed = False
        self.buffered_bytes = 0
        self._chunks: list[bytes] = []

    def restart(self, envelope: Envelope) -> None:
        """Forget the execution that was lost; the client has seen nothing of it."""
        self.envelope = envelope
        if self.attempt == UNPINNED:
            self.unheard += self.unstored
        self._forget_execution()

    def fail(self, error: ServiceError) -> None:
        """End with `error`; the first end wins."""
        if not self.ended:
            self.ended = True
            self.error = error
            self.wake()

    def take_frame(self, frame: Frame) -> Verdict:
        """Let one frame of this request have its effect."""
        if frame.attempt != self.attempt:
            return self._from_another(frame)
        if self.ended or frame.seq < self.next_seq:
            return Verdict.TAKEN
        if frame.seq != self.next_seq:
            return self._lost_bytes()
        self.next_seq += 1
        flags = frame.flags
        if flags & _ENDS_BADLY:
            return self._end_badly(frame)
        if flags & _HEAD:
            self._take_head(frame)
        elif not self.status:
            return self._lost_bytes()
        return self._take_body(frame)

    def _take_body(self, frame: Frame) -> Verdict:
        if frame.body:
            self._chunks.append(frame.body)
            self.buffered_bytes += len(frame.body)
            if self.buffered_bytes > (self.max_buffered_bytes if self.streamed else self.max_response_bytes):
                return Verdict.OVERFLOW
        if frame.flags & _LAST:
            self.usage = frame.meta.usage
            self.ended = True
            self.wake()
        elif self.streamed:
            self.wake()
        return Verdict.TAKEN

    def _take_head(self, frame: Frame) -> None:
        self.status = frame.status
        self.content_type = frame.meta.content_type
        self.streamed = self.content_type.startswith(EVENT_STREAM)

    def _from_another(self, frame: Frame) -> Verdict:
        """A frame of an execution that is not pinned: pin it, or refuse it."""
        if self.attempt != UNPINNED or self.ended or retry_of(frame.attempt) != self.envelope.retry:
            return Verdict.FOREIGN
        if frame.flags & _ACCEPTED:
            self._pin(frame)
            return Verdict.PINNED
        if frame.flags & _ENDS_BADLY:
            return self._end_badly(frame)
        if not frame.seq:
            return Verdict.FOREIGN
        # Its ACCEPTED was lost with a connection. What follows is whole only if this is the very next frame.
        self.attempt = frame.attempt
        self.exchange.work_began = True
        return self.take_frame(frame)

    def _pin(self, frame: Frame) -> None:
        meta = frame.meta
        self.attempt = frame.attempt
        self.worker = meta.worker
        self.worker_name = meta.worker_name
        self.model_version = meta.model_version
        self.queue_ms = meta.queue_ms
        self.exchange.work_began = True

    def _lost_bytes(self) -> Verdict:
        self.fail(ServiceError("frames_lost", "Part of the answer was lost on its way. Send the request again."))
        return Verdict.BROKEN

    def _end_badly(self, frame: Frame) -> Verdict:
        meta = frame.meta
        self.usage = meta.usage
        if frame.flags & _CANCELLED or meta.code in _WORKER_GONE:
            # Nobody here called it off: the worker is being stopped, or its engine died.
            return Verdict.LOST
        if meta.code == _NOT_SERVED and self.exchange.division is not None and self.attempt == UNPINNED:
            return Verdict.WITHDRAWN
        self.fail(ServiceError(meta.code, meta.message or "The engine failed.", param=meta.param or None))
        return Verdict.TAKEN

    # What the client's coroutine uses

    @property
    def has_news(self) -> bool:
        """Whether there is anything to do for the client."""
        return self.ended or self.client_gone or (self.streamed and (bool(self._chunks) or not self.exchange.started))

    async def news(self) -> None:
        """Return once there is something to do for the client."""
        while not self.has_news:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None

    def wake(self) -> None:
        """Make `news` look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def take_bytes(self) -> bytes:
        """Everything that has arrived and was not taken yet, in one piece."""
        chunks = self._chunks
        if not chunks:
            return b""
        self._chunks = []
        self.buffered_bytes = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def on_client_gone(self) -> None:
        """The connection is lost."""
        self.client_gone = True
        self.wake()
