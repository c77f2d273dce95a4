"""Splits the byte stream of the NATS protocol into messages and operations."""

from collections.abc import Callable
from typing import Final, NamedTuple

_CRLF: Final = b"\r\n"
_M: Final = ord("M")
_H: Final = ord("H")
_MAX_CONTROL_LINE_BYTES: Final = 64 * 1024


class Message(NamedTuple):
    """One delivered message; `headers` is the raw block, empty if there is none."""

    subject: str
    reply: str
    headers: bytes
    payload: bytes


class ProtocolError(Exception):
    """The peer does not speak the NATS protocol."""


class Parser:
    """Feed it what the socket gives; it calls back for each whole message and each other operation."""

    def __init__(self, on_message: Callable[[int, Message], None], on_operation: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._on_operation = on_operation
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            ProtocolError: a control line that is too long or malformed.
        """
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        position = self._parse(data)
        if position < len(data):
            self._parts.append(data[position:])
            self._have = len(data) - position

    def _parse(self, data: bytes) -> int:
        """Handle every whole operation in `data`; return where the first incomplete one begins."""
        position, size = 0, len(data)
        self._need = 0
        while position < size:
            line_end = data.find(_CRLF, position)
            if line_end < 0:
                if size - position > _MAX_CONTROL_LINE_BYTES:
                    raise ProtocolError("control line too long")
                break
            first = data[position]
            if first not in (_M, _H):
                self._on_operation(data[position:line_end])
                position = line_end + 2
                continue
            after = self._message(data, position, line_end, with_headers=first == _H)
            if after < 0:
                break
            position = after
        if self._need:
            self._need -= position
        return position

    def _message(self, data: bytes, start: int, line_end: int, *, with_headers: bool) -> int:
        """Deliver the message whose control line is `data[start:line_end]`; -1 if its payload is not all here."""
        fields = data[start:line_end].split()
        try:
            total = int(fields[-1])
            header_len = int(fields[-2]) if with_headers else 0
            has_reply = len(fields) == (6 if with_headers else 5)
            sid = int(fields[2])
        except (IndexError, ValueError) as error:
            raise ProtocolError(f"bad control line {data[start:line_end][:80]!r}") from error
        body = line_end + 2
        end = body + total
        if end + 2 > len(data):
            self._need = end + 2
            return -1
        split = body + header_len
        reply = fields[3].decode() if has_reply else ""
        self._on_message(sid, Message(fields[1].decode(), reply, data[body:split], data[split:end]))
        return end + 2
