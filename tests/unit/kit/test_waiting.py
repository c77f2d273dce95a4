"""Waiting with a limit: the event, the limit, and above all the cancellation."""

import asyncio

import pytest

from libs.kit.waiting import set_within


async def test_it_tells_whether_the_event_came() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.01)
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await set_within(event, 10)
    assert await set_within(event, 0), "one that is set already needs no time"


async def test_a_cancellation_in_the_tick_of_the_event_is_not_lost() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(set_within(event, 10))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("ticks", range(5))
async def test_a_loop_that_waits_ends_whenever_it_is_cancelled(ticks: int) -> None:
    event = asyncio.Event()

    async def forever() -> None:
        while True:
            event.clear()
            await set_within(event, 10)

    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=2)
    assert done
    assert task.cancelled()
