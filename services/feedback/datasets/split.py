"""Eighth step: which split a row belongs to, by a hash of its episode, so that no other row has a say in it."""

import hashlib
from collections.abc import Mapping
from typing import Final

_SPACE: Final = 1 << 64


def split_of(unit: str, seed: int, splits: Mapping[str, float]) -> str:
    """The split of an episode (or of an interaction without one); the same in every stratum and for ever."""
    digest = hashlib.sha256(f"{seed}\0{unit}".encode(errors="surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / _SPACE
    edge = 0.0
    names = sorted(splits)
    for name in names:
        edge += splits[name]
        if place < edge:
            return name
    return names[-1]
