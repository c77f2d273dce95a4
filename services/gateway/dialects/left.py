"""What is left of a limit, as every dialect tells it in words of its own."""

from typing import NamedTuple


class Left(NamedTuple):
    """Of one limit per minute."""

    name: bytes
    """`requests` or `tokens`."""
    limit: int
    remaining: int
    reset_s: float
    """In how many seconds all of it is free again."""
