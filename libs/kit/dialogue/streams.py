"""Reads the JSON documents out of an event stream, however it was cut."""

from collections.abc import Iterator
from typing import Any

import msgspec


def documents(stream: str) -> Iterator[dict[str, Any]]:
    """Every event's data that is a JSON object; half an event at the end, or one that is no JSON, is left out."""
    for block in stream.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if not lines:
            continue
        try:
            document = msgspec.json.decode("\n".join(lines).encode(errors="replace"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(document, dict):
            yield document
