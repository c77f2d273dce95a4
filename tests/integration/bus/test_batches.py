"""The batch consumer against a real JetStream: what is in hand stays in hand, what is given up goes to the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import nats as nats_py
from nats.js import api

from libs.contracts import subjects
from libs.contracts.topology import CMD_FEEDBACK, FEEDBACK_SIGNALS
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.batches import BatchConsumer
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until


@asynccontextmanager
async def _consumer(server: NatsServer, name: str, *, lease_s: float) -> AsyncIterator[tuple[BusClient, BatchConsumer]]:
    bus = BusClient(replace(server.options("feedback"), inbox_prefix=f"_INBOX.{name}"))
    await bus.connect()
    taker = BatchConsumer(
        bus,
        stream=CMD_FEEDBACK.name,
        durable=FEEDBACK_SIGNALS.durable,
        inbox=f"_INBOX.{name}.pull",
        lease_s=lease_s,
        retry_s=0.1,
    )
    taker.start()
    yield bus, taker
    await bus.close()


async def _prepare(server: NatsServer, *, lease_s: float) -> None:
    """A consumer with this lease, and ten messages."""
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    config = api.ConsumerConfig(
        durable_name=FEEDBACK_SIGNALS.durable,
        filter_subject=FEEDBACK_SIGNALS.filter_subject,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=lease_s,
        max_ack_pending=FEEDBACK_SIGNALS.max_ack_pending,
    )
    await client.jetstream().delete_consumer(CMD_FEEDBACK.name, FEEDBACK_SIGNALS.durable)
    await client.jetstream().add_consumer(CMD_FEEDBACK.name, config)
    await client.close()
    gateway = BusClient(server.options("gateway"))
    await gateway.connect()
    for number in range(10):
        gateway.publish(subjects.RECORD_SIGNAL, b"%d" % number)
    await gateway.flush()
    await gateway.close()


async def _take(taker: BatchConsumer, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        batch = await taker.take()
        found += [int(message.payload) for message in batch]
        taker.acknowledge(batch)
    return sorted(found)


async def _redelivered(server: NatsServer) -> int:
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    info = await client.jetstream().consumer_info(CMD_FEEDBACK.name, FEEDBACK_SIGNALS.durable)
    await client.close()
    return int(info.num_redelivered or 0) + int(info.num_pending or 0)


async def test_what_takes_longer_than_its_lease_is_not_sent_again(private_nats: NatsServer) -> None:
    await _prepare(private_nats, lease_s=3.0)
    # A sign of life each 0.2 s, so that a stall of the machine does no harm.
    async with _consumer(private_nats, "one", lease_s=0.6) as (_, one):
        batch = await one.take()
        held_until_s = clock.monotonic_s() + 5.0
        await until(lambda: clock.monotonic_s() > held_until_s, timeout_s=60)
        assert await _redelivered(private_nats) == 0
        one.acknowledge(batch)
        await one.stop()


async def test_an_orderly_end_hands_back_at_once(private_nats: NatsServer) -> None:
    await _prepare(private_nats, lease_s=3_600.0)
    async with _consumer(private_nats, "one", lease_s=3_600.0) as (bus, one):
        await one.take()
        await one.stop()
        await bus.flush()
    async with _consumer(private_nats, "two", lease_s=3_600.0) as (_, two):
        assert await _take(two, 10) == list(range(10))
        await two.stop()


async def test_what_a_dead_process_held_comes_to_the_next_when_its_lease_is_over(private_nats: NatsServer) -> None:
    await _prepare(private_nats, lease_s=1.0)
    async with _consumer(private_nats, "one", lease_s=3_600.0) as (_, one):
        # It gives no sign for an hour: as good as dead.
        await one.take()
        async with _consumer(private_nats, "two", lease_s=1.0) as (_, two):
            assert await _take(two, 10) == list(range(10))
            await two.stop()
