"""The sending half of one execution: collects what the engine's application sends and renders it as frames."""

from collections.abc import Callable
from typing import Final

from libs.contracts.frames import HEADER_BYTES, Flag, encode_head, encode_meta
from libs.contracts.inference import FrameMeta, Usage
from libs.kit.errors import ServiceError
from services.inference.bundles import Bundler, Sender

_ROOM_FOR_META_BYTES: Final = 4 << 10
_ACCEPTED: Final = int(Flag.ACCEPTED)
_HEAD: Final = int(Flag.HEAD)
_LAST: Final = int(Flag.LAST)


class FrameWriter:
    """Numbers the frames of one execution; what is added between two flushes becomes one frame."""

    __slots__ = (
        "_attempt",
        "_body",
        "_content_type",
        "_flags",
        "_gateway",
        "_meta",
        "_request_id",
        "_sender",
        "_seq",
        "_status",
    )

    def __init__(self, sender: Sender, reply: str, attempt: int) -> None:
        self._sender = sender
        _, _, self._gateway, self._request_id = reply.split(".")
        self._attempt = attempt
        self._seq = 0
        self._body: list[bytes] = []
        self._flags = 0
        self._status = 0
        self._content_type = ""
        self._meta: FrameMeta | None = None

    @property
    def ended(self) -> bool:
        """Whether the last frame is written or waits for the next flush."""
        return bool(self._flags & _LAST)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for the next flush: it brings the first bytes or the end."""
        return not self._seq or bool(self._flags & _LAST)

    @property
    def gateway(self) -> str:
        """Instance id of the gateway that the answer is for."""
        return self._gateway

    def accept(self, bundler: Bundler, meta: FrameMeta) -> None:
        """Send the first frame: the request is taken."""
        head = encode_head(_ACCEPTED, self._attempt, self._seq, meta=encode_meta(meta))
        bundler.put(self._sender, self._gateway, self._request_id, len(head), [head])

    def start(self, status: int, content_type: str) -> None:
        """Status and media type; they travel with the first bytes."""
        self._flags |= _HEAD
        self._status = status
        self._content_type = content_type

    @property
    def add(self) -> Callable[[bytes], None]:
        """Takes bytes for the client; stays good for the life of the writer."""
        return self._body.append

    def end(self, usage: Usage | None) -> None:
        """The answer is complete."""
        self._meta = FrameMeta(content_type=self._content_type if self._flags & _HEAD else "", usage=usage)
        self._flags |= _LAST

    def fail(self, error: ServiceError, usage: Usage | None) -> None:
        """The answer ends here with an error; bytes that wait are not sent any more."""
        self._body.clear()
        self._flags = _LAST | Flag.ERROR
        self._status = error.spec.status
        self._meta = FrameMeta(code=error.code, message=error.message, param=error.param or "", usage=usage)

    def cancel(self, usage: Usage | None) -> None:
        """The answer ends here because nobody wants it; bytes that wait are not sent any more."""
        self._body.clear()
        self._flags = _LAST | Flag.CANCELLED
        self._status = 0
        self._meta = FrameMeta(usage=usage)

    def flush(self, bundler: Bundler) -> int:
        """Send what was added; more than one frame only where the server's message limit demands it."""
        parts = self._body.copy()
        self._body.clear()
        size = sum(map(len, parts))
        limit = bundler.max_payload_bytes - HEADER_BYTES - _ROOM_FOR_META_BYTES
        count = 1
        if size > limit:
            body = b"".join(parts)
            while size > limit:
                self._send(bundler, self._flags & ~_LAST, limit, [body[:limit]], self._head_meta())
                body = body[limit:]
                size -= limit
                count += 1
            parts = [body]
        self._send(bundler, self._flags, size, parts, self._meta or self._head_meta())
        return count

    def _send(self, bundler: Bundler, flags: int, size: int, parts: list[bytes], meta: FrameMeta | None) -> None:
        self._seq += 1
        status, self._status = self._status, 0
        self._flags &= ~_HEAD
        raw = encode_meta(meta) if meta is not None else b""
        head = encode_head(flags, self._attempt, self._seq, status=status, meta=raw)
        parts.insert(0, head)
        bundler.put(self._sender, self._gateway, self._request_id, len(head) + size, parts)

    def _head_meta(self) -> FrameMeta | None:
        return FrameMeta(content_type=self._content_type) if self._flags & _HEAD else None
