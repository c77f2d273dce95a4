"""What is said inside is published for others once, by tenant, whoever is killed meanwhile."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from libs.contracts import subjects
from libs.contracts.public_data import RequestCompletedData
from libs.contracts.public_events import PUBLIC_EVENTS
from libs.contracts.topology import EVT_INFERENCE, PUBLIC
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.testkit.events import PATIENCE_S, EventsGround, published, say
from libs.testkit.streams import jetstream, stream_messages, stream_state
from libs.testkit.wait import eventually
from tests.contract.test_golden_messages import SAMPLES

USERS = {"inference": "gateway", "registry": "registry", "feedback": "feedback"} | {
    name: name for name in ("trainer", "rollout", "identity")
}


async def reaches(ground: EventsGround, count: int) -> None:
    """Return when the stream for others holds so many."""

    async def there() -> bool | None:
        return (await stream_state(ground.nats, PUBLIC.name)).messages >= count or None

    await eventually(there, timeout_s=PATIENCE_S, what=f"{count} public events")


@pytest.mark.asyncio(loop_scope="session")
async def test_every_type_of_the_catalogue_is_published_under_its_tenant(ground: EventsGround) -> None:
    async with ground.service():
        for event in PUBLIC_EVENTS:
            bus = BusClient(ground.nats.options(USERS[event.said_on.split(".")[1]]))
            await bus.connect()
            inbox = "rpl.gateway.t" if event.said_on == subjects.COMPLETED else "_INBOX.t"
            publisher = StoredPublisher(bus, source="test", inbox=inbox)
            publisher.start()
            sample = SAMPLES[event.message.__name__]
            body = msgspec.json.encode(msgspec.structs.replace(sample, id=f"{event.name}-{ground.series}"))
            await publisher.store([Event(f"{event.name}-{ground.series}", event.said_on, 1, body)])
            await bus.close()
        await reaches(ground, len(PUBLIC_EVENTS))
    found = await published(ground.nats)
    assert sorted(said.type for _, said in found) == sorted(each.name for each in PUBLIC_EVENTS)
    for subject, said in found:
        assert said.id == f"{said.type}-{ground.series}"
        assert subject == subjects.public(said.tenant, said.type)
        kind = next(each.data for each in PUBLIC_EVENTS if each.name == said.type)
        assert msgspec.json.decode(said.data, type=kind)
    assert {said.tenant for _, said in found} >= {"", "t1"}


@pytest.mark.asyncio(loop_scope="session")
async def test_nonsense_among_events_holds_nothing_up(ground: EventsGround) -> None:
    bus = BusClient(ground.nats.options("gateway"))
    await bus.connect()
    publisher = StoredPublisher(bus, source="test", inbox="rpl.gateway.t")
    publisher.start()
    nonsense = (b"", b"{}", b"\xff", b"[1]", b'{"id": 7}')
    await publisher.store(
        [Event(f"n{n}-{ground.series}", subjects.COMPLETED, 1, body) for n, body in enumerate(nonsense)]
    )
    await bus.close()
    await say(ground.nats, [ground.completed(1)])
    async with ground.service():
        await reaches(ground, 1)
    ((_, event),) = await published(ground.nats)
    assert msgspec.json.decode(event.data, type=RequestCompletedData).request_id == "acme-1"


@pytest.mark.asyncio(loop_scope="session")
async def test_killed_again_and_again_it_loses_and_doubles_nothing(ground: EventsGround) -> None:
    count = 2_000
    process = ground.process(batch=50)
    saying = asyncio.create_task(
        say(ground.nats, (ground.completed(n, "ab"[n % 2]) for n in range(count)), at_once=100)
    )
    for number in range(2):
        await process.start()
        await reaches(ground, 100 + number * 500)
        await process.end(signal.SIGKILL)
    await saying
    await process.start()
    await reaches(ground, count)
    await process.end()
    found = [event.id for _, event in await published(ground.nats)]
    assert len(found) == count
    assert set(found) == {ground.completed(n, "ab"[n % 2]).id for n in range(count)}


@pytest.mark.asyncio(loop_scope="session")
async def test_what_was_published_long_ago_and_never_acknowledged_is_not_published_again(ground: EventsGround) -> None:
    said = [ground.completed(number) for number in range(40)]
    await say(ground.nats, said)
    async with jetstream(ground.nats) as context, forgetful(context):
        # A process takes all, publishes half of them, acknowledges none, and dies.
        pulling = await context.pull_subscribe_bind("events__inference", EVT_INFERENCE.name)
        taken = await pulling.fetch(len(said), timeout=30)
        assert len(taken) == len(said)
        bus = BusClient(ground.nats.options("events"))
        await bus.connect()
        publisher = StoredPublisher(bus, source="test", inbox="_INBOX.t")
        publisher.start()
        half = [Event(each.id, subjects.public(each.tenant, "t"), 1, b"") for each in said[::2]]
        await publisher.store(half)
        # The stream has forgotten that it has these.
        await eventually(partial(doubled, ground, publisher), timeout_s=PATIENCE_S, what="an unrecognised repeat")
        await bus.close()
        async with ground.service(repeat_after_s=0.05):
            await say(ground.nats, [ground.completed(40)])
            await settled(context)
    found = ids_of(await stream_messages(ground.nats, PUBLIC.name))
    assert set(found) == {f"probe-{ground.series}", *(ground.completed(number).id for number in range(41))}
    assert found.pop(f"probe-{ground.series}") > 1
    assert set(found.values()) == {1}


@asynccontextmanager
async def forgetful(context: JetStreamContext) -> AsyncIterator[None]:
    """For the block, the stream recognises repeats for a tenth of a second only."""
    config = (await context.stream_info(PUBLIC.name)).config
    usual, config.duplicate_window = config.duplicate_window, 0.1
    await context.update_stream(config)
    yield
    config.duplicate_window = usual
    await context.update_stream(config)


async def doubled(ground: EventsGround, publisher: StoredPublisher) -> bool | None:
    """Whether the stream, given the same id again, keeps both."""
    await publisher.store([Event(f"probe-{ground.series}", subjects.public("acme", "t"), 1, b"")])
    return ids_of(await stream_messages(ground.nats, PUBLIC.name))[f"probe-{ground.series}"] > 1 or None


def ids_of(messages: list[RawStreamMsg]) -> Counter[str]:
    """How often each id is there."""
    return Counter((each.headers or {}).get("Nats-Msg-Id", "") for each in messages)


async def settled(context: JetStreamContext) -> None:
    """Return when nothing that was said waits to be published."""

    async def done() -> bool | None:
        info = await context.consumer_info(EVT_INFERENCE.name, "events__inference")
        return (info.num_pending, info.num_ack_pending) == (0, 0) or None

    await eventually(done, timeout_s=PATIENCE_S, what="every acknowledgement")
