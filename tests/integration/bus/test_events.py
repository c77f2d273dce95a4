"""The event publisher: nothing is lost while the process lives, nothing is stored twice."""

import json
from typing import Any

import nats as nats_py

from libs.contracts import subjects
from libs.contracts.topology import EVT_INFERENCE
from libs.kit.bus import BusClient, BusOptions
from libs.kit.bus.events import EventPublisher
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until

PREFIX = subjects.gateway_reply("test-events", "").rstrip(".")


async def _stored(server: NatsServer) -> list[Any]:
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    stream = client.jetstream()
    info = await stream.stream_info(EVT_INFERENCE.name)
    first, last = info.state.first_seq, info.state.last_seq
    found = [await stream.get_msg(EVT_INFERENCE.name, number) for number in range(first, last + 1)]
    await client.close()
    return found


async def test_an_event_is_stored_as_a_cloud_event(nats: NatsServer) -> None:
    bus = BusClient(nats.options("gateway"))
    await bus.connect()
    events = EventPublisher(bus, source="gateway/test", reply_prefix=PREFIX)
    events.start()
    events.publish(subjects.COMPLETED, "e1", b'{"a":1}', time_ms=1_700_000_000_123)
    assert events.pending == 1
    await until(lambda: events.pending == 0)
    (message,) = await _stored(nats)
    assert json.loads(message.data) == {"a": 1}
    assert message.headers == {
        "Nats-Msg-Id": "e1",
        "ce-id": "e1",
        "ce-type": subjects.COMPLETED,
        "ce-source": "gateway/test",
        "ce-time": "2023-11-14T22:13:20.123Z",
        "ce-specversion": "1.0",
        "content-type": "application/json",
    }
    await events.close()
    await bus.close()


async def test_events_said_while_the_bus_is_away_arrive_once_each(private_nats: NatsServer) -> None:
    bus = BusClient(private_nats.options("gateway"), on_state=lambda up: events.resend() if up else None)
    events = EventPublisher(bus, source="s", reply_prefix=PREFIX, resend_after_s=0.2)
    await bus.connect()
    events.start()
    for number in range(20):
        events.publish(subjects.COMPLETED, f"a{number}", b"{}", time_ms=0)
    private_nats.kill()
    for number in range(20):
        events.publish(subjects.COMPLETED, f"b{number}", b"{}", time_ms=0)
    await until(lambda: not bus.connected)
    for number in range(20):
        events.publish(subjects.COMPLETED, f"c{number}", b"{}", time_ms=0)
    private_nats.start()
    await until(lambda: events.pending == 0, what="the acknowledgement of every event")
    ids = [message.headers["ce-id"] for message in await _stored(private_nats)]
    assert sorted(ids) == sorted(f"{group}{number}" for group in "abc" for number in range(20))
    assert events.dropped == 0
    await events.close()
    await bus.close()


async def test_an_event_without_acknowledgement_is_sent_again(nats: NatsServer) -> None:
    """Nobody acknowledges this subject: the gateway may publish it, but no stream stores beats."""
    bus = BusClient(nats.options("gateway"))
    await bus.connect()
    events = EventPublisher(bus, source="s", reply_prefix=PREFIX, resend_after_s=0.1)
    events.start()
    events.publish(subjects.gateway_beat("test"), "e2", b"{}", time_ms=0)
    await until(lambda: events.resent >= 2, what="two repeats")
    assert events.pending == 1
    await events.close(timeout_s=0.1)
    assert events.dropped == 1
    await bus.close()


async def test_what_does_not_fit_is_counted() -> None:
    bus = BusClient(BusOptions(host="127.0.0.1", port=1, name="never connected"))
    events = EventPublisher(bus, source="s", reply_prefix=PREFIX, max_pending=3)
    for number in range(5):
        events.publish(subjects.COMPLETED, f"d{number}", b"{}", time_ms=0)
    assert (events.pending, events.dropped) == (3, 2)
