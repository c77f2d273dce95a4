"""Ends a process whose event loop hangs, for whoever supervises it starts again what has ended and nothing else.

A thread asks the loop for a sign, again and again, and counts how often in a row it has waited for it in vain. Counted
are waits and not the clock: of a process that was stopped as a whole, or a machine that slept, one wait was long, and
the next one is answered.
"""

import asyncio
import contextlib
import itertools
import os
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any, Final, Protocol

import structlog

log = structlog.get_logger(__name__)

HUNG: Final = 70
"""Exit status of a process whose event loop hung."""
THREAD: Final = "watchdog"
_WAITS: Final = 20
"""In vain, one after another, until a loop counts as one that hangs."""
_MOST_FRAMES: Final = 40
_LAST_WORDS_S: Final = 5.0
"""The log may be what hangs: a pipe that nobody reads, a lock."""


class Loop(Protocol):
    """What is asked of an event loop."""

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call it as soon as the loop turns."""


class Watchdog:
    """Watches one event loop."""

    def __init__(self, loop: Loop, limit_s: float, wait: Callable[[float], bool], end: Callable[[], None]) -> None:
        """Prepare.

        Args:
            loop: must turn at least once in `limit_s`.
            limit_s: how long it may take for that, in time in which this process runs.
            wait: waits for so many seconds; true when nobody wants to know any more.
            end: called when the loop hangs.
        """
        self._loop = loop
        self._wait_s = limit_s / _WAITS
        self._wait = wait
        self._end = end
        self._answered = True

    def watch(self) -> None:
        """Watch until nobody wants to know any more, the loop is closed, or it hangs."""
        in_vain = 0
        while in_vain < _WAITS:
            if not in_vain and not self._ask():
                return
            if self._wait(self._wait_s):
                return
            in_vain = 0 if self._answered else in_vain + 1
        self._end()

    def _ask(self) -> bool:
        self._answered = False
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            # It is closed.
            return False
        return True

    def _answer(self) -> None:
        self._answered = True


@contextlib.contextmanager
def watched(limit_s: float) -> Iterator[None]:
    """A block in which this process ends if its running loop hangs for so long; for 0 a block like any other."""
    if not limit_s:
        yield
        return
    over, thread_id = threading.Event(), threading.get_ident()
    dog = Watchdog(asyncio.get_running_loop(), limit_s, over.wait, lambda: _end_process(thread_id, limit_s))
    threading.Thread(target=dog.watch, name=THREAD, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextlib.asynccontextmanager
async def watched_from(started: asyncio.Event, limit_s: float) -> AsyncIterator[None]:
    """The same, from when `started` is set: what is imported and loaded before may keep the loop for long."""
    task = asyncio.create_task(_watch_from(started, limit_s), name=THREAD)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch_from(started: asyncio.Event, limit_s: float) -> None:
    await started.wait()
    with watched(limit_s):
        await asyncio.Event().wait()


def _end_process(thread_id: int, limit_s: float) -> None:
    """Say where it hangs, and end without asking anything of what hangs."""
    words = threading.Thread(target=_say_where, args=(thread_id, limit_s), daemon=True)
    words.start()
    words.join(_LAST_WORDS_S)
    os._exit(HUNG)


def _say_where(thread_id: int, limit_s: float) -> None:
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to the stacks of other threads
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    others: list[dict[str, Any]] = [
        {"thread": names.get(ident, str(ident)), "stack": _stack(frame)}
        for ident, frame in frames.items()
        if ident not in (thread_id, threading.get_ident())
    ]
    log.critical(
        "the event loop hangs, the process ends",
        limit_s=limit_s,
        status=HUNG,
        stack=_stack(frames[thread_id]) if thread_id in frames else [],
        others=others,
    )


def _stack(frame: FrameType) -> list[str]:
    """Where a thread is, innermost first."""
    calls = itertools.islice(traceback.walk_stack(frame), _MOST_FRAMES)
    return [f"{each.f_code.co_filename}:{line} {each.f_code.co_qualname}" for each, line in calls]
