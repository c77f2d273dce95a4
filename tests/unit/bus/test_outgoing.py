"""The write buffer: few writes, nothing lost, nothing out of order."""

import asyncio
from typing import cast

import pytest

from libs.kit import clock
from libs.kit.bus.outgoing import Outgoing


class Written:
    """A transport that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """One system call."""
        self.writes.append(data)


def _open(outgoing: Outgoing) -> Written:
    transport = Written()
    outgoing.open(cast("asyncio.Transport", transport))
    return transport


async def _ticks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_neighbouring_ticks_bring_is_one_write() -> None:
    outgoing = Outgoing()
    transport = _open(outgoing)
    for part in (b"a", b"b", b"c"):
        outgoing.add(len(part), part)
        await _ticks(1)
    await _ticks(10)
    assert transport.writes == [b"abc"]
    assert outgoing.waiting_bytes == 0


async def test_a_stream_that_never_pauses_is_still_written() -> None:
    outgoing = Outgoing()
    transport = _open(outgoing)
    for _ in range(50):
        outgoing.add(1, b"x")
        await _ticks(1)
    assert len(transport.writes) >= 5
    assert sum(map(len, transport.writes)) >= 40


async def test_a_long_tick_does_not_hold_back_what_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 5.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    outgoing = Outgoing()
    transport = _open(outgoing)
    for part in (b"a", b"b", b"c", b"d"):
        outgoing.add(1, part)
        now_s += 0.0004
    assert transport.writes == [b"abcd"], "within the fourth the millisecond was over"
    outgoing.add(1, b"e")
    assert transport.writes == [b"abcd"]
    await _ticks(10)
    assert transport.writes == [b"abcd", b"e"]


async def test_what_must_be_on_its_way_is_written_at_once() -> None:
    outgoing = Outgoing()
    transport = _open(outgoing)
    outgoing.add(8, b"accepted")
    outgoing.write_now()
    assert transport.writes == [b"accepted"]


async def test_a_slow_or_lost_server_gets_everything_later_but_no_old_pings() -> None:
    outgoing = Outgoing()
    first = _open(outgoing)
    outgoing.pause()
    outgoing.add(3, b"o", b"ne")
    await _ticks(10)
    assert first.writes == []
    ping, same_bytes = bytes(bytearray(b"PING")), bytes(bytearray(b"PING"))
    outgoing.add(4, ping)
    outgoing.add(4, same_bytes)
    outgoing.close(drop=ping)
    outgoing.add(3, b"two")
    assert _open(outgoing).writes == [b"onePINGtwo"], "a payload that reads like a ping is no ping"
