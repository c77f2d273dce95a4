"""Reading a stream by number: everything after it, once, in order; and what is asked of a server that is away."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from libs.contracts import subjects
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, BusUnavailableError
from libs.kit.bus.reading import StreamReader
from libs.kit.bus.stored import Event, StoredPublisher
from libs.testkit.nats_server import NatsServer

MANY = 700


@pytest_asyncio.fixture(loop_scope="session")
async def bus(private_nats: NatsServer) -> AsyncIterator[BusClient]:
    bus = BusClient(private_nats.options("events"))
    await bus.connect()
    yield bus
    await bus.close()


@pytest_asyncio.fixture(loop_scope="session")
async def reader(bus: BusClient) -> StreamReader:
    reader = StreamReader(bus, get=subjects.PUBLIC_GET, inbox="_INBOX.reading", timeout_s=20)
    reader.start()
    return reader


async def store(bus: BusClient, tenants: str, count: int) -> None:
    publisher = StoredPublisher(bus, source="test", inbox="_INBOX.stored")
    publisher.start()
    await publisher.store(
        [
            Event(
                f"{clock.new_event_id()}-{number}",
                subjects.public(tenants[number % len(tenants)], "t"),
                1,
                b"%d" % number,
            )
            for number in range(count)
        ]
    )


@pytest.mark.asyncio(loop_scope="session")
async def test_everything_comes_once_and_in_order_whatever_the_batch(bus: BusClient, reader: StreamReader) -> None:
    assert await reader.after(0, subjects.ALL_PUBLIC) == []
    assert (await reader.first(subjects.ALL_PUBLIC), await reader.last(subjects.ALL_PUBLIC)) == (0, 0)
    before = clock.rfc3339(clock.unix_ms())
    await store(bus, "ab", MANY)
    for limit in (7, 256, 5_000):
        position, found = 0, []
        while batch := await reader.after(position, subjects.all_public("a"), limit=limit):
            assert len(batch) <= limit
            found += batch
            position = batch[-1].sequence
        assert [int(each.payload) for each in found] == list(range(0, MANY, 2))
        assert {each.subject for each in found} == {subjects.public("a", "t")}
        assert [each.sequence for each in found] == list(range(1, MANY, 2))
    assert await reader.after(MANY * 2, subjects.ALL_PUBLIC) == []
    assert await reader.last(subjects.all_public("b")) == MANY
    assert await reader.last(subjects.all_public("c")) == 0
    assert await reader.first(subjects.all_public("b")) == 2
    assert [each.sequence for each in await reader.since(before, subjects.ALL_PUBLIC, limit=3)] == [1, 2, 3]
    assert await reader.since(clock.rfc3339(clock.unix_ms() + 60_000), subjects.ALL_PUBLIC) == []


@pytest.mark.asyncio(loop_scope="session")
async def test_a_server_that_refuses_or_is_away_is_an_error(bus: BusClient) -> None:
    reader = StreamReader(bus, get=f"{subjects.PUBLIC_GET}.", inbox="_INBOX.other", timeout_s=1)
    reader.start()
    with pytest.raises(BusError):
        await reader.after(0, subjects.ALL_PUBLIC)
    await bus.close()
    with pytest.raises(BusUnavailableError):
        await reader.after(0, subjects.ALL_PUBLIC)
