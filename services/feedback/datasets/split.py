"""Eighth step: which split a row belongs to, by a hash of its episode, so that no other row has a say in it."""

import hashlib
from collections.abc import Mapping
from typing import Final

from libs.kit.errors import ServiceError

_SPACE: Final = 1 << 64
_MOST_SPLITS: Final = 16


def check_splits(splits: Mapping[str, float]) -> None:
    """Accept names that can be file names, and positive shares that add up to 1.

    Raises:
        ServiceError: `invalid_value`.
    """
    if not 0 < len(splits) <= _MOST_SPLITS:
        raise ServiceError("invalid_value", f"Give 1 to {_MOST_SPLITS} splits.", param="splits")
    for name, share in splits.items():
        if not (name.isascii() and name.isidentifier() and name.islower() and len(name) <= 32):
            text = f"The split `{name[:40]}` needs a name of at most 32 lower-case letters, digits and `_`."
            raise ServiceError("invalid_value", text, param="splits")
        if not 0 < share <= 1:
            raise ServiceError("invalid_value", f"The share of {name} must be more than 0, at most 1.", param="splits")
    if abs(sum(splits.values()) - 1) > 1e-6:
        raise ServiceError("invalid_value", "The shares of the splits must add up to 1.", param="splits")


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
