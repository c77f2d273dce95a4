"""Batches that cannot be recorded: kept while the database is away, taken apart where one message is at fault."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from structlog.testing import capture_logs

from libs.kit.bus import Message
from libs.kit.bus.batches import BatchConsumer
from libs.kit.errors import ServiceError
from libs.kit.intake import Intake
from libs.testkit.wait import until

PATIENCE_S = 30.0
GOOD, BAD = b"good", b"bad"


def _batch(*payloads: bytes) -> list[Message]:
    return [Message("a.b", "", b"", payload) for payload in payloads]


@dataclass
class Consumer:
    """Gives what a test puts into it, and remembers what was acknowledged."""

    stream: str = "EVT"
    batches: "asyncio.Queue[list[Message]]" = field(default_factory=asyncio.Queue)
    acknowledged: list[list[Message]] = field(default_factory=list)
    is_stopped: bool = False

    def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.is_stopped = True

    async def take(self) -> list[Message]:
        return await self.batches.get()

    def acknowledge(self, messages: list[Message]) -> None:
        self.acknowledged.append(messages)


@dataclass
class Book:
    """Records a batch wholly or not at all."""

    fails: Callable[[list[Message]], Exception | None] = lambda _: None
    tries: list[list[bytes]] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    buried: list[tuple[bytes, str]] = field(default_factory=list)
    earth: list[ServiceError] = field(default_factory=list)
    """Why nothing can be buried, once each."""

    async def record(self, batch: list[Message]) -> None:
        payloads = [one.payload for one in batch]
        self.tries.append(payloads)
        if error := self.fails(batch):
            raise error
        self.kept += payloads

    async def bury(self, message: Message, reason: str) -> None:
        if self.earth:
            raise self.earth.pop()
        self.buried.append((message.payload, reason))


@asynccontextmanager
async def _running(book: Book) -> AsyncIterator[Consumer]:
    consumer = Consumer()
    intake = Intake(cast("BatchConsumer", consumer), book.record, book.bury, retry_s=0.001)
    intake.start()
    try:
        yield consumer
    finally:
        await intake.stop()
        assert consumer.is_stopped


def _is_bad(batch: list[Message]) -> Exception | None:
    return ValueError("no such number") if BAD in {one.payload for one in batch} else None


def _away(_: list[Message]) -> Exception | None:
    return ServiceError("storage_unavailable", "PostgreSQL is away.")


async def test_the_one_message_at_fault_is_given_up_by_name_and_the_others_are_recorded() -> None:
    book = Book(_is_bad)
    batch, next_one = _batch(b"1", BAD, b"2"), _batch(b"3")
    with capture_logs() as logs:
        async with _running(book) as consumer:
            consumer.batches.put_nowait(batch)
            consumer.batches.put_nowait(next_one)
            await until(lambda: len(consumer.acknowledged) == 2, timeout_s=PATIENCE_S)
    assert book.kept == [b"1", b"2", b"3"]
    assert book.tries == [[b"1", BAD, b"2"], [b"1"], [BAD], [b"2"], [b"3"]]
    assert consumer.acknowledged == [batch, next_one], "whole, and in order"
    said = [(one["event"], one["log_level"]) for one in logs]
    assert said == [("batch is taken apart", "warning"), ("message is given up", "error")]
    assert (logs[1]["subject"], "payload" in logs[1]) == ("a.b", False), "what people wrote is in no log"
    assert book.buried == [(BAD, "ValueError: no such number")]


async def test_a_message_is_kept_until_it_is_buried() -> None:
    book = Book(_is_bad, earth=[ServiceError("bus_unavailable", "JetStream is away.") for _ in range(3)])
    async with _running(book) as consumer:
        consumer.batches.put_nowait(_batch(BAD))
        await until(lambda: len(consumer.acknowledged) == 1, timeout_s=PATIENCE_S)
    assert book.tries == [[BAD]] * 4
    assert book.buried == [(BAD, "ValueError: no such number")]


async def test_while_the_database_is_away_the_batch_is_kept_whole_and_nothing_is_acknowledged() -> None:
    book = Book(_away)
    with capture_logs() as logs:
        async with _running(book) as consumer:
            consumer.batches.put_nowait(_batch(GOOD, GOOD))
            await until(lambda: len(book.tries) > 3, timeout_s=PATIENCE_S)
            assert consumer.acknowledged == []
            book.fails = lambda _: None
            await until(lambda: len(consumer.acknowledged) == 1, timeout_s=PATIENCE_S)
    assert book.kept == [GOOD, GOOD]
    assert {len(one) for one in book.tries} == {2}, "it is never taken apart for that"
    assert len(logs) < len(book.tries), "and not told at every try"
    assert {one["event"] for one in logs} == {"batch waits"}


async def test_a_message_that_is_looked_at_alone_is_not_given_up_while_the_database_is_away() -> None:
    def fails(batch: list[Message]) -> Exception | None:
        return _is_bad(batch) if len(batch) > 1 else _away(batch)

    book = Book(fails)
    async with _running(book) as consumer:
        consumer.batches.put_nowait(_batch(BAD, GOOD))
        await until(lambda: len(book.tries) > 3, timeout_s=PATIENCE_S)
        assert consumer.acknowledged == []
        book.fails = lambda _: None
        await until(lambda: len(consumer.acknowledged) == 1, timeout_s=PATIENCE_S)
    assert book.kept == [BAD, GOOD]


async def test_stopped_in_the_middle_it_acknowledges_nothing() -> None:
    book = Book(_away)
    async with _running(book) as consumer:
        consumer.batches.put_nowait(_batch(GOOD))
        await until(lambda: bool(book.tries), timeout_s=PATIENCE_S)
    assert (consumer.acknowledged, book.kept) == ([], [])
