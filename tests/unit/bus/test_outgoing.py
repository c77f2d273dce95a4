"""The write buffer: few writes, nothing lost, nothing out of order."""

import asyncio
from typing import cast

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
        outgoing.add(part)
        await _ticks(1)
    await _ticks(10)
    assert transport.writes == [b"abc"]
    assert outgoing.waiting_bytes == 0


async def test_a_stream_that_never_pauses_is_still_written() -> None:
    outgoing = Outgoing()
    transport = _open(outgoing)
    for _ in range(50):
        outgoing.add(b"x")
        await _ticks(1)
    assert len(transport.writes) >= 5
    assert sum(map(len, transport.writes)) >= 40


async def test_what_must_be_on_its_way_is_written_at_once() -> None:
    outgoing = Outgoing()
    transport = _open(outgoing)
    outgoing.add(b"accepted")
    outgoing.write_now()
    assert transport.writes == [b"accepted"]


async def test_a_slow_or_lost_server_gets_everything_later_but_no_old_pings() -> None:
    outgoing = Outgoing()
    first = _open(outgoing)
    outgoing.pause()
    outgoing.add(b"one")
    await _ticks(10)
    assert first.writes == []
    outgoing.add(b"PING")
    outgoing.close(drop=b"PING")
    outgoing.add(b"two")
    assert _open(outgoing).writes == [b"onetwo"]
