"""Pages that fit into a message."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from libs.kit.errors import ServiceError

T = TypeVar("T", bound=msgspec.Struct)

MOST: Final = 1_000
"""Rows in one page."""
_MOST_BYTES: Final = 900_000
"""Of rows in one page; the bus takes a little more."""


def check_limit(limit: int) -> int:
    """The limit, if it is one.

    Raises:
        ServiceError: `invalid_value`.
    """
    if not 1 <= limit <= MOST:
        raise ServiceError("invalid_value", f"`limit` must be between 1 and {MOST}.", param="limit")
    return limit


def place_of(after: str) -> int | None:
    """The place that a cursor names; None for the beginning.

    Raises:
        ServiceError: `invalid_value`.
    """
    if not after:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise ServiceError("invalid_value", "`after` must be `next` of another page.", param="after")
    return int(after)


def fitting(rows: Sequence[T]) -> int:
    """How many of the rows, from the first one on, fit into one answer; one at least."""
    size = 0
    for number, row in enumerate(rows):
        size += len(msgspec.json.encode(row)) + 1
        if size > _MOST_BYTES:
            return max(number, 1)
    return len(rows)
