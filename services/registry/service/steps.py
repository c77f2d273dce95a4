"""The named steps of an operation, told as they are passed; tests end the process at each of them."""

from collections.abc import Awaitable, Callable

StepListener = Callable[[str], Awaitable[None]]
"""Hears the name of a step right after it was done."""


async def nobody(_: str) -> None:
    """The listener of a process that is not under test."""
