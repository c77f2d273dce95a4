"""W3C trace context: which trace a request belongs to, and whether it is recorded, in 55 characters."""

import re
from typing import Final, NamedTuple

HEADER: Final = "traceparent"
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_ODD: Final = frozenset("13579bdf")
"""The flag "sampled" is the last bit."""


class Parent(NamedTuple):
    """The span that a caller is in."""

    trace_id: int
    span_id: int


def checked(header: bytes) -> str:
    """What somebody outside says, or nothing if that is not what it must be."""
    text = header.decode("latin-1")
    return text if _FORM.fullmatch(text) else ""


def is_sampled(traceparent: str) -> bool:
    """Whether whoever began the trace has it recorded; False for none."""
    return traceparent[-1:] in _ODD


def read(traceparent: str) -> Parent | None:
    """The caller's span, if it is recorded."""
    if not is_sampled(traceparent) or (found := _FORM.fullmatch(traceparent)) is None:
        return None
    return Parent(int(found[1], 16), int(found[2], 16))


def write(trace_id: int, span_id: int) -> str:
    """What tells others of a recorded span."""
    return f"00-{trace_id:032x}-{span_id:016x}-01"
