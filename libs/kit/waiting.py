"""Waiting for an event with a limit, so that a cancellation always ends the wait."""

import asyncio


async def set_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait at most `timeout_s` seconds; whether `event` is set.

    Not `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes in the tick in which the event is
    set, and a task that waits in a loop then goes on for ever (CPython issue 86296).
    """
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
