"""Waiting for a condition instead of sleeping and hoping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0, what: str = "the condition") -> None:
    """Return as soon as `condition()` holds.

    Raises:
        AssertionError: it did not hold within `timeout_s`.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - the condition is outside this process's event loop
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise AssertionError(f"{what} did not hold within {timeout_s} s") from error


async def eventually(ask: Callable[[], Awaitable[T | None]], *, timeout_s: float = 10.0, what: str = "an answer") -> T:
    """The first answer that is not None.

    Raises:
        AssertionError: there was none within `timeout_s`.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while (found := await ask()) is None:  # noqa: ASYNC110 - the answer is outside this process
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise AssertionError(f"{what} did not come within {timeout_s} s") from error
    return found
