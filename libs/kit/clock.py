"""The one door through which time, ids and randomness enter; tests replace them here."""

import random
import secrets
import time
from functools import lru_cache
from typing import Final

_ID_TICK_BITS: Final = 24
"""A request id begins with the time in units of 2^24 ns, about 17 ms; 10 digits of it last until the year 2554."""
_ID_RANDOM_BYTES: Final = 7
INSTANCE_ID_BYTES: Final = 5


def unix_ms() -> int:
    """Milliseconds since 1970, for times that cross a process border."""
    return time.time_ns() // 1_000_000


def unix_ns() -> int:
    """Nanoseconds since 1970, for where a millisecond is long."""
    return time.time_ns()


def monotonic_s() -> float:
    """Seconds on a clock that never jumps, for durations inside one process."""
    return time.monotonic()


def new_request_id() -> str:
    """A fresh request id: 24 hex digits, the first 10 by the time, the others unguessable.

    Ids made at about the same time are neighbours in an index, which makes adding and finding them cheap.
    """
    return f"{time.time_ns() >> _ID_TICK_BITS:010x}{secrets.token_hex(_ID_RANDOM_BYTES)}"


def new_instance_id(prefix: str) -> str:
    """A fresh id for one run of one process; safe as a subject token."""
    return prefix + secrets.token_hex(INSTANCE_ID_BYTES)


def new_event_id() -> str:
    """A fresh id for one event."""
    return secrets.token_hex(16)


def new_secret() -> str:
    """A fresh password or key: 43 characters of a URL-safe alphabet, 256 random bits."""
    return secrets.token_urlsafe(32)


def chance(ratio: float) -> bool:
    """True for about this part of all calls: never for 0, always for 1."""
    return random.random() < ratio  # noqa: S311 - hides nothing


def seeded_random(seed: int) -> random.Random:
    """A repeatable stream of chance for data and tests, never for secrets."""
    return random.Random(seed)  # noqa: S311


def rfc3339(unix_time_ms: int) -> str:
    """A Unix time as `2026-11-22T03:04:05.678Z`."""
    seconds, ms = divmod(unix_time_ms, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    """Events come in order, so most of them share their second with the one before."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))
