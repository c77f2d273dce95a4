"""One timer for all requests of the same pace, as an engine steps its whole batch."""

import asyncio


class Pacer:
    """Ticks each `interval_s` while somebody waits; everybody who waits wakes in the same tick."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._waiting: list[asyncio.Future[None]] = []
        self._at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, ticks: int) -> None:
        """Wait for so many ticks."""
        loop = asyncio.get_running_loop()
        for _ in range(ticks):
            if self._timer is None:
                self._arm(loop)
            waiter = loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def stop(self) -> None:
        """Never tick again."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        # From the last due time where there is one, so that the pace does not drift with the load.
        now_s = loop.time()
        start_s = self._at_s if now_s - self._at_s < self._interval_s else now_s
        self._at_s = start_s + self._interval_s
        self._timer = loop.call_at(self._at_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
