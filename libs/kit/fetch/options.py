"""What a caller of `fetch_version` hands in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.contracts.registry import Fetch

Pages = Callable[[int], Awaitable[Fetch]]
"""Asks the registry for URLs, leaving out so many distinct blobs in manifest order."""

Progress = Callable[[int, int], None]
"""Hears bytes done and bytes in total, a few times per second, in the caller's event loop."""


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How hard to try."""

    parallel: int = 4
    """Blobs on their way at the same time."""
    attempts: int = 5
    """Tries per blob while the store is away, slow, or refuses."""
    wrong_attempts: int = 3
    """Tries per blob whose bytes arrive whole and wrong."""
    pause_s: float = 0.2
    """Before the second try; it doubles from there, up to `max_pause_s`."""
    max_pause_s: float = 5.0
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    """Longest silence in the middle of a blob; it may also pass before a cancelled fetch has ended."""
    durable: bool = True
    """Have the disk hold every byte before anything is visible; else that is the caller's to do."""
    read_only: bool = True
    """Take the right to write from every file and directory at the end."""
