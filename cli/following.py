"""Looks on while a service carries something out; to stop looking does not stop it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import ui
from libs.kit.errors import ServiceError

T = TypeVar("T")
_LOOK_EVERY_S: Final = 0.5
_PATIENCE: Final = 100
"""Looks in a row that may fail: services restart."""


@dataclass(frozen=True)
class Seen:
    """What one look shows."""

    state: str
    done: int = 0
    of: int = 0
    """0 where nobody knows."""
    note: str = ""


async def followed(
    found: T, *, again: Callable[[], Awaitable[T]], is_over: Callable[[T], bool], seen: Callable[[T], Seen]
) -> T:
    """What `again` finds when it is over; a bar shows meanwhile what is `seen`.

    Raises:
        ServiceError: nobody could say for too long.
    """
    bar = Progress(
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), console=ui.err, transient=True, disable=not ui.err.is_terminal,
    )  # fmt: skip
    failures = 0
    with bar:
        task = bar.add_task("", total=None, note="")
        while not is_over(found):
            look = seen(found)
            bar.update(task, description=look.state, completed=look.done, total=look.of or None, note=look.note)
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                found = await again()
                failures = 0
            except ServiceError as error:
                failures += 1
                if not error.spec.retryable or failures > _PATIENCE:
                    raise
    return found
