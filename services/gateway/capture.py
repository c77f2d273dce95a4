"""Keeps the text of a request and its answer until it is announced; only where the operator wants text to be kept."""

from typing import Final

import msgspec

from libs.contracts.feedback import Captured
from libs.contracts.inference import RequestCompleted

ROUTES: Final = frozenset(("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"))
"""Where text goes in and comes out."""
MAX_RESPONSE_BYTES: Final = 256 << 10
_MAX_MESSAGE_BYTES: Final = 1_000_000
"""Below the bus's limit of 1 MiB, with room for the headers."""
_NULL: Final = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder().encode


class Capture:
    """The text of one exchange; an answer beyond `MAX_RESPONSE_BYTES` is cut."""

    __slots__ = ("_parts", "_request", "_room_bytes", "_truncated")

    def __init__(self, request: bytes) -> None:
        """Begin with the client's body, which must be JSON."""
        self._request = request
        self._parts: list[bytes] = []
        self._room_bytes = MAX_RESPONSE_BYTES
        self._truncated = False

    def add(self, body: bytes) -> None:
        """Keep bytes that the client was sent."""
        if len(body) > self._room_bytes:
            self._truncated = True
            body = body[: self._room_bytes]
        if body:
            self._room_bytes -= len(body)
            self._parts.append(body)

    def event(self, completed: RequestCompleted) -> bytes:
        """The event; without the answer, then without the request, if it would not fit into a message."""
        answer = b"".join(self._parts).decode(errors="replace")
        whole = _captured(completed, self._request, answer, truncated=self._truncated)
        if len(whole) <= _MAX_MESSAGE_BYTES:
            return whole
        question = _captured(completed, self._request, "", truncated=True)
        return question if len(question) <= _MAX_MESSAGE_BYTES else _captured(completed, b"", "", truncated=True)


def _captured(completed: RequestCompleted, request: bytes, response: str, *, truncated: bool) -> bytes:
    return _encode(
        Captured(
            id=f"{completed.request_id}-captured",
            completed=completed,
            request=msgspec.Raw(request) if request else _NULL,
            response=response,
            truncated=truncated,
        )
    )
