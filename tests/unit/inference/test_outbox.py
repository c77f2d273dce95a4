"""The outbox: what is urgent goes at the end of the tick, and everything else with it or after the interval."""

import asyncio

from libs.contracts.inference import Running
from libs.kit.bus import BusClient, BusError
from libs.testkit.wait import until
from services.inference.outbox import Outbox

LONG_S = 3_600.0


class _Bus(BusClient):
    """Remembers what was published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes = b"") -> None:
        del reply, headers
        self.published.append((subject, payload))


class _Source:
    """Publishes its name, or fails to."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.name = name
        self.fails = fails
        self.lost = False

    def flush(self, bus: BusClient) -> int:
        if self.fails:
            raise BusError("too large")
        bus.publish(self.name, b"")
        return 1

    def lose(self) -> None:
        self.lost = True


async def _ticks(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _subjects(bus: _Bus) -> list[str]:
    return [subject for subject, _ in bus.published]


async def test_what_follows_too_soon_waits_for_somebody_who_hurries() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=LONG_S)
    outbox.flush()
    outbox.mark(_Source("a"))
    outbox.mark(_Source("b"))
    await _ticks()
    assert not bus.published
    outbox.hurry()
    assert not bus.published, "joined with the rest of the tick"
    await _ticks()
    assert _subjects(bus) == ["a", "b"]
    assert outbox.frames == 2


async def test_what_nobody_hurries_leaves_when_the_interval_is_over() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.02)
    outbox.flush()
    outbox.mark(_Source("a"))
    await _ticks()
    assert not bus.published
    await until(lambda: _subjects(bus) == ["a"])


async def test_after_a_pause_it_leaves_at_once() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    for name in ("a", "b"):
        outbox.mark(_Source(name))
        await _ticks()
    assert _subjects(bus) == ["a", "b"]


async def test_a_credit_never_waits_and_takes_the_rest_along() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=LONG_S)
    outbox.flush()
    outbox.mark(_Source("a"))
    outbox.release(Running("r1", 1))
    outbox.release(Running("r2", 1))
    await _ticks()
    assert _subjects(bus) == ["a", "ctl.inference.w1.released"]
    assert b"r1" in bus.published[1][1]
    assert b"r2" in bus.published[1][1]


async def test_a_frame_that_cannot_leave_is_lost_alone() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    broken = _Source("a", fails=True)
    outbox.mark(broken)
    outbox.mark(_Source("b"))
    await _ticks()
    assert broken.lost
    assert _subjects(bus) == ["b"]
