"""The outbox against a real PostgreSQL and a real JetStream: what is committed is announced once and in order."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import msgspec
import nats as nats_py
import pytest
import pytest_asyncio
from sqlalchemy import MetaData, Text, func, inspect, select, text

from libs.contracts import subjects
from libs.contracts.topology import EVT_ROLLOUT
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.outbox import BundledOutbox, Outbox, Relay, outbox_ddl
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import HEADER, Parent, write
from libs.kit.telemetry.tracing import Kind, Within
from libs.testkit.nats_server import NatsServer
from libs.testkit.traces import noting

SUBJECT = subjects.TURN_CHANGED


class Turned(msgspec.Struct, frozen=True):
    """Some event."""

    id: str
    time_ms: int = 1_000


ROWS = Outbox(MetaData(schema="rows"), {Turned: SUBJECT})
BUNDLES = BundledOutbox(MetaData(schema="bundles"))


@dataclass
class Scene:
    """Both kinds of outbox in a database, and a stream that their events go to."""

    door: Database
    publisher: StoredPublisher
    server: NatsServer
    prefix: str
    """Of every id: the shared stream remembers those of other tests."""

    def event(self, name: str) -> Turned:
        """The event of that name."""
        return Turned(self.prefix + name)

    async def change(self, *names: str) -> None:
        """One transaction that announces these."""
        async with self.door.begin() as connection:
            for name in names:
                await ROWS.add(connection, self.event(name))

    async def bundle(self, *names: str) -> None:
        """The same as one row."""
        async with self.door.begin_bulk() as connection:
            events = [self.event(name) for name in names]
            payloads = [msgspec.json.encode(event).decode() for event in events]
            await BUNDLES.add_all(connection, SUBJECT, [event.id for event in events], payloads, time_ms=1_000)

    async def left(self, outbox: Outbox | BundledOutbox) -> int:
        """Rows that are still there."""
        async with self.door.begin() as connection:
            return (await connection.execute(select(func.count()).select_from(outbox.table))).scalar_one()

    async def stored(self) -> list[str]:
        """The names in the stream, in its order."""
        return [name for name, _ in await self.stored_of()]

    async def stored_of(self) -> list[tuple[str, str]]:
        """Names and traces in the stream, in its order; each message is checked for its headers and payload."""
        client = await nats_py.connect(
            f"nats://{self.server.host}:{self.server.port}",
            user="provisioner",
            password=self.server.passwords["provisioner"],
        )
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(EVT_ROLLOUT.name)).state
        found = []
        for number in range(state.first_seq, state.last_seq + 1):
            message = await jetstream.get_msg(EVT_ROLLOUT.name, number)
            event = msgspec.json.decode(message.data or b"", type=Turned)
            assert message.subject == SUBJECT
            assert message.headers is not None
            assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == event.id
            found.append((event.id.removeprefix(self.prefix), message.headers.get(HEADER, "")))
        await client.close()
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def scene(nats: NatsServer, database: PostgresSettings) -> AsyncIterator[Scene]:
    door = Database(database)
    async with door.begin() as connection:
        for outbox in (ROWS, BUNDLES):
            await connection.execute(text(f"create schema {outbox.table.schema}"))
        await connection.execute(text(outbox_ddl("rows")))
        await connection.run_sync(BUNDLES.table.create)
    bus = BusClient(replace(nats.options("rollout"), inbox_prefix="_INBOX.outbox"))
    await bus.connect()
    publisher = StoredPublisher(bus, source="test", inbox="_INBOX.outbox.said")
    publisher.start()
    yield Scene(door, publisher, nats, f"{clock.new_event_id()}-")
    await bus.close()
    await door.close()


async def test_the_statement_for_migrations_makes_the_declared_table(scene: Scene) -> None:
    async with scene.door.begin() as connection:
        made = await connection.run_sync(lambda sync: inspect(sync).get_columns("outbox", schema="rows"))
    declared = [(column.name, str(column.type), column.nullable) for column in ROWS.table.columns]
    assert [(column["name"], str(column["type"]), column["nullable"]) for column in made] == declared
    assert isinstance(ROWS.table.c.payload.type, Text)


async def test_what_is_committed_is_sent_in_order_and_forgotten(scene: Scene) -> None:
    relay = Relay(scene.door, ROWS, scene.publisher.store)
    await scene.change("a", "b")
    await scene.change("c")
    async with scene.door.engine.connect() as connection, connection.begin() as transaction:
        await ROWS.add(connection, scene.event("never"))
        await transaction.rollback()
    assert await relay.send() == 3
    assert await relay.send() == 0
    assert await scene.stored() == ["a", "b", "c"]
    assert await scene.left(ROWS) == 0


async def test_a_bundle_is_sent_whole_and_one_at_a_time(scene: Scene) -> None:
    relay = Relay(scene.door, BUNDLES, scene.publisher.store)
    await scene.bundle("a", "b")
    await scene.bundle()
    async with scene.door.begin() as connection:
        await BUNDLES.add(connection, SUBJECT, scene.event("c"))
    assert [await relay.send() for _ in range(3)] == [2, 1, 0]
    assert await scene.stored() == ["a", "b", "c"]
    assert await scene.left(BUNDLES) == 0


def test_a_bundle_of_what_is_no_line_is_refused() -> None:
    for ids, payloads in ((["a\nb"], ["{}"]), (["a"], ['{\n"id":"a"}']), (["a", "b"], ["{}"])):
        with pytest.raises(ValueError, match="line break"):
            BUNDLES.row(SUBJECT, ids, payloads, time_ms=1)


@pytest.mark.parametrize("outbox", [ROWS, BUNDLES], ids=["rows", "bundles"])
async def test_what_is_cut_short_is_sent_again_and_the_stream_keeps_one(
    outbox: Outbox | BundledOutbox, scene: Scene
) -> None:
    async def store_and_die(events: list[Event]) -> None:
        await scene.publisher.store(events)
        raise ZeroDivisionError

    await (scene.change("a", "b") if outbox is ROWS else scene.bundle("a", "b"))
    with pytest.raises(ZeroDivisionError):
        await Relay(scene.door, outbox, store_and_die).send()
    assert await scene.left(outbox) == (2 if outbox is ROWS else 1)
    assert await Relay(scene.door, outbox, scene.publisher.store).send() == 2
    assert await scene.stored() == ["a", "b"]
    assert await scene.left(outbox) == 0


@pytest.mark.parametrize(("outbox", "passes"), [(ROWS, False), (BUNDLES, True)], ids=["rows", "bundles"])
async def test_rows_wait_for_those_before_them_and_bundles_pass(
    outbox: Outbox | BundledOutbox, passes: bool, scene: Scene
) -> None:
    sending, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(events: list[Event]) -> None:
        sending.set()
        await go_on.wait()
        await scene.publisher.store(events)

    await (scene.change("a") if outbox is ROWS else scene.bundle("a"))
    first = asyncio.create_task(Relay(scene.door, outbox, slowly).send())
    await sending.wait()
    await (scene.change("b") if outbox is ROWS else scene.bundle("b"))
    second = asyncio.create_task(Relay(scene.door, outbox, scene.publisher.store).send())
    if passes:
        assert await second == 1
    else:
        await _waits_for_a_lock(scene.door)
    go_on.set()
    assert (await first, await second) == (1, 1)
    assert await scene.stored() == (["b", "a"] if passes else ["a", "b"])


async def _waits_for_a_lock(door: Database) -> None:
    query = text("select count(*) from pg_locks where not granted")
    async with asyncio.timeout(60):
        waiting = 0
        while not waiting:
            async with door.begin() as connection:
                waiting = (await connection.execute(query)).scalar_one()


async def test_an_event_bears_the_trace_of_what_put_it_there(scene: Scene) -> None:
    with noting() as notes:
        with Within(tracing.begin("order", Kind.SERVER, write(7, 8))):
            await scene.change("traced")
        await scene.change("alone")
    order, transaction = notes.spans
    assert (transaction.name, transaction.parent, transaction.ended) == ("transaction", Parent(7, order.number), True)
    assert await Relay(scene.door, ROWS, scene.publisher.store).send() == 2
    assert await scene.stored_of() == [("traced", order.traceparent), ("alone", "")]


async def test_each_event_of_a_bundle_bears_the_trace_that_was_told_of_it(scene: Scene) -> None:
    first, other = write(7, 8), write(9, 1)
    BUNDLES.causes.keep(scene.event("first").id, first)
    BUNDLES.causes.keep(scene.event("other").id, other)
    with noting() as notes, Within(tracing.begin("batch", Kind.CONSUMER, first)):
        await scene.bundle("first", "alone", "other")
        async with scene.door.begin() as connection:
            await BUNDLES.add(connection, SUBJECT, scene.event("single"))
    relay = Relay(scene.door, BUNDLES, scene.publisher.store)
    assert [await relay.send() for _ in range(2)] == [3, 1]
    batch = notes.spans[0].traceparent
    assert await scene.stored_of() == [("first", first), ("alone", ""), ("other", other), ("single", batch)]
