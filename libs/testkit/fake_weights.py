"""What the fake engine takes for weights: a directory's bytes, as a tag that stands in every answer made with them.

A file `fake.json` in the directory makes loading misbehave: `{"load_ms": 200}` takes so long, `{"fail": "why"}` fails.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Final

import msgspec

from libs.kit.errors import ServiceError

HOOKS: Final = "fake.json"
_TAG_DIGITS: Final = 12


class Hooks(msgspec.Struct):
    """How loading goes wrong."""

    load_ms: int = 0
    fail: str = ""


def tag_of(*directories: Path) -> str:
    """Twelve hex digits that change with any byte of any file: of a base, or of a base and an adapter on it."""
    digest = hashlib.sha256()
    for directory in directories:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(directory).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:_TAG_DIGITS]


async def load(*directories: Path) -> str:
    """Read the weights as an engine would; their tag.

    Raises:
        ServiceError: `engine_error`: the last directory says that loading fails.
    """
    hooks = directories[-1] / HOOKS
    if hooks.is_file():
        asked = msgspec.json.decode(hooks.read_bytes(), type=Hooks)
        await asyncio.sleep(asked.load_ms / 1_000)
        if asked.fail:
            raise ServiceError("engine_error", asked.fail)
    return tag_of(*directories)
