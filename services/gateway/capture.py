"""Keeps the text of a request and its answer: until it is announced, where the operator wants that, or compared."""

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

    __slots__ = ("_parts", "_room_bytes", "announced", "request", "truncated")

    def __init__(self, request: bytes, *, announced: bool = True) -> None:
        """Begin with the client's body, which must be JSON; what is not `announced` is kept for a comparison only."""
        self.request = request
        self.announced = announced
        self._parts: list[bytes] = []
        self._room_bytes = MAX_RESPONSE_BYTES
        self.truncated = False

    def add(self, body: bytes) -> None:
        """Keep bytes that the client was sent."""
        if len(body) > self._room_bytes:
            self.truncated = True
            body = body[: self._room_bytes]
        if body:
            self._room_bytes -= len(body)
            self._parts.append(body)

    @property
    def answer(self) -> str:
        """What has come so far."""
        return b"".join(self._parts).decode(errors="replace")

    def event(self, completed: RequestCompleted) -> bytes:
        """The event; without the answer, then without the request, if it would not fit into a message."""
        whole = _captured(completed, self.request, self.answer, truncated=self.truncated)
        if len(whole) <= _MAX_MESSAGE_BYTES:
            return whole
        question = _captured(completed, self.request, "", truncated=True)
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
