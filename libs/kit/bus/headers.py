"""NATS headers: one block of `name: value` lines after a version line; bytes, because most are only forwarded."""

import re
from collections.abc import Iterable
from typing import Final

_VERSION: Final = b"NATS/1.0"
_FORBIDDEN: Final = re.compile(rb"[\r\n]")
_ORDINARY: Final = _VERSION + b"\r\n"
_STATUS: Final = re.compile(rb"NATS/1\.0 (\d{3})")


def encode_headers(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Build a header block.

    Raises:
        ValueError: a value holds a line break, which would let it forge another header.
    """
    lines = [_VERSION]
    for name, value in fields:
        if _FORBIDDEN.search(value):
            raise ValueError(f"header {name.decode()} holds a line break")
        lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def header_value(block: bytes, name: bytes) -> bytes | None:
    """The first value of `name` (compared exactly, as NATS does), or None."""
    start = block.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    return block[start : block.index(b"\r\n", start)].strip()


def status_of(block: bytes) -> int:
    """The status code of a server message (503 no responders, 408 pull expired, …); 0 for an ordinary one."""
    # Nearly every message is an ordinary one.
    match = None if not block or block.startswith(_ORDINARY) else _STATUS.match(block)
    return int(match.group(1)) if match else 0
