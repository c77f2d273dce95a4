"""The outbox: what is urgent goes at the end of the tick, and everything else with it or after the interval."""

import asyncio
from collections.abc import Sequence

from libs.contracts.frames import split
from libs.contracts.inference import Running
from libs.kit.bus import BusClient, BusError
from libs.testkit.wait import until
from services.inference.bundles import MAX_BUNDLE_BYTES, Bundler
from services.inference.outbox import Outbox

LONG_S = 3_600.0
REFUSED = b"refused"


class _Bus(BusClient):
    """Remembers what was published; takes no message with `REFUSED` in it."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.written = 0
        """How many of them were handed to the kernel before their tick was over."""
        self.max_payload_bytes = 1 << 20

    def write_now(self) -> None:
        self.written = len(self.published)

    def publish_parts(self, subject: str, size: int, parts: Sequence[bytes]) -> None:
        payload = b"".join(parts)
        assert len(payload) == size
        self.publish(subject, payload)

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes = b"") -> None:
        del reply, headers
        if REFUSED in payload:
            raise BusError("too large")
        self.published.append((subject, payload))


class _Source:
    """Sends one frame, of the request that has its name, to its gateway."""

    def __init__(self, name: str, gateway: str = "", *, frame: bytes = b"frame") -> None:
        self.name = name
        self.gateway = gateway or name
        self.frame = frame
        self.lost = False

    def flush(self, bundler: Bundler) -> int:
        bundler.put(self, self.gateway, self.name, len(self.frame), [self.frame[:1], self.frame[1:]])
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
    assert _subjects(bus) == ["rpl.gateway.a.a", "rpl.gateway.b.b"]
    assert outbox.frames == 2


async def test_what_nobody_hurries_leaves_when_the_interval_is_over() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.02)
    outbox.flush()
    outbox.mark(_Source("a"))
    await _ticks()
    assert not bus.published
    await until(lambda: _subjects(bus) == ["rpl.gateway.a.a"])


async def test_a_crowd_in_a_hurry_does_not_wait_for_its_last_and_nothing_is_sent_twice() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=LONG_S)
    outbox.flush()
    names = [f"r{number}" for number in range(40)]
    for name in names:
        outbox.mark(_Source(name, name))
        outbox.hurry()
    assert bus.written == 32, "two groups of sixteen"
    await _ticks()
    assert _subjects(bus) == [f"rpl.gateway.{name}.{name}" for name in names]
    outbox.mark(_Source("later"))
    await _ticks()
    assert len(bus.published) == 40, "nobody hurries"


async def test_after_a_pause_it_leaves_at_once() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    for name in ("a", "b"):
        outbox.mark(_Source(name))
        await _ticks()
    assert _subjects(bus) == ["rpl.gateway.a.a", "rpl.gateway.b.b"]


async def test_a_credit_never_waits_and_takes_the_rest_along() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=LONG_S)
    outbox.flush()
    outbox.mark(_Source("a"))
    outbox.release(Running("r1", 1))
    outbox.release(Running("r2", 1))
    await _ticks()
    assert _subjects(bus) == ["rpl.gateway.a.a", "ctl.inference.w1.released"]
    assert b"r1" in bus.published[1][1]
    assert b"r2" in bus.published[1][1]


async def test_a_frame_that_cannot_leave_is_lost_alone() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    broken = _Source("a", frame=REFUSED)
    outbox.mark(broken)
    outbox.mark(_Source("b"))
    await _ticks()
    assert broken.lost
    assert _subjects(bus) == ["rpl.gateway.b.b"]


def _bundled(bus: _Bus) -> list[list[tuple[str, bytes]]]:
    """Request and frame of every entry, message by message."""
    return [
        [(request_id, payload[start:end]) for request_id, start, end in split(payload)]
        for subject, payload in bus.published
        if subject.endswith(".several")
    ]


async def test_frames_for_one_gateway_travel_together_and_in_order() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    for name, gateway, frame in (("r1", "g1", b"1"), ("r2", "g2", b"2"), ("r3", "g1", b"3"), ("r1", "g1", b"4")):
        outbox.mark(_Source(name, gateway, frame=frame))
    await _ticks()
    assert _subjects(bus) == ["rpl.gateway.g1.several", "rpl.gateway.g2.r2"]
    assert _bundled(bus) == [[("r1", b"1"), ("r3", b"3"), ("r1", b"4")]]


async def test_a_bundle_is_bounded() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    names = [f"r{number}" for number in range(40)]
    for name in names:
        outbox.mark(_Source(name, "g1", frame=bytes(1_000)))
    await _ticks()
    assert [name for entries in _bundled(bus) for name, _ in entries] == names
    assert max(len(payload) for _, payload in bus.published) <= MAX_BUNDLE_BYTES
    assert len(bus.published) <= 8


async def test_a_large_frame_travels_alone_and_overtakes_nothing() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    large = bytes(MAX_BUNDLE_BYTES)
    for name, frame in (("r1", b"1"), ("r2", b"2"), ("r2", large), ("r2", b"3"), ("r1", large)):
        outbox.mark(_Source(name, "g1", frame=frame))
    await _ticks()
    assert _subjects(bus) == [f"rpl.gateway.g1.{name}" for name in ("several", "r2", "r2", "r1")]
    assert [payload for _, payload in bus.published[1:]] == [large, b"3", large]


async def test_everybody_in_a_bundle_that_cannot_leave_is_told() -> None:
    bus = _Bus()
    outbox = Outbox(bus, "w1", interval_s=0.0)
    sources = [_Source("r1", "g1", frame=REFUSED), _Source("r2", "g1"), _Source("r3", "g2")]
    for source in sources:
        outbox.mark(source)
    await _ticks()
    assert [source.lost for source in sources] == [True, True, False]
