"""The shape of an answer: its framing, its keys and their order, without the values that differ from run to run."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

_EVENT: Final = re.compile(rb"(?:event: (?P<name>[\w.]+)\n)?data: (?P<data>[^\n]*)\n\n")
_TOLD: Final = frozenset(("object", "type", "role", "finish_reason", "stop_reason", "status", "reason"))
"""Keys whose values belong to the shape."""


def shape_of_json(body: bytes) -> str:
    """Keys in order, each with the type of its value."""
    return _shape(json.loads(body, object_pairs_hook=_Pairs))


def shape_of_stream(body: bytes) -> list[str]:
    """One line per event; equal neighbours, such as one token after another, are one line.

    Raises:
        ValueError: bytes that are not part of an event.
    """
    lines: list[str] = []
    position = 0
    while position < len(body):
        event = _EVENT.match(body, position)
        if event is None:
            raise ValueError(f"not an event: {body[position : position + 80]!r}")
        name, data = (event["name"] or b"").decode(), event["data"]
        line = f"{name} [DONE]" if data == b"[DONE]" else f"{name} {shape_of_json(data)}"
        if not lines or lines[-1] != line:
            lines.append(line)
        position = event.end()
    return lines


class _Pairs:
    """An object whose keys keep their order and their repeats."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _shape(value: Any, key: str = "") -> str:
    if isinstance(value, _Pairs):
        return "{" + ", ".join(f"{name}: {_shape(inner, name)}" for name, inner in value.pairs) + "}"
    if isinstance(value, list):
        inner = list(dict.fromkeys(_shape(item) for item in value))
        return "[" + ", ".join(inner) + "]"
    if value is None:
        return "null"
    if isinstance(value, str) and key in _TOLD:
        return json.dumps(value)
    return type(value).__name__
