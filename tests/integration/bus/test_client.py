"""The slim client against a real nats-server: delivery, limits, permissions, kills."""

import asyncio
import dataclasses

import pytest
import uvloop

from libs.kit.bus import (
    BusClient,
    BusOverloadedError,
    BusPayloadError,
    BusTimeoutError,
    BusUnavailableError,
    Message,
)
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until

BEAT = "ctl.inference.w1.beat"


async def _pair(server: NatsServer) -> tuple[BusClient, BusClient]:
    """A worker and a gateway connection."""
    worker = BusClient(server.options("inference", reconnect_max_s=0.1))
    gateway = BusClient(server.options("gateway", reconnect_max_s=0.1))
    await worker.connect()
    await gateway.connect()
    return worker, gateway


async def test_messages_arrive_in_order_with_headers_and_replies(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    got: list[Message] = []
    gateway.subscribe("rpl.gateway.g1.*", got.append)
    await gateway.flush()
    for i in range(2_000):
        worker.publish("rpl.gateway.g1.r", b"%d" % i, headers=b"NATS/1.0\r\nA: b\r\n\r\n" if i % 2 else b"")
    await worker.flush()
    await until(lambda: len(got) == 2_000)
    assert [int(message.payload) for message in got] == list(range(2_000))
    assert got[1].headers == b"NATS/1.0\r\nA: b\r\n\r\n"
    await worker.close()
    await gateway.close()


async def test_a_failing_handler_does_not_stop_the_next_message(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    got: list[bytes] = []

    def handler(message: Message) -> None:
        got.append(message.payload)
        if message.payload == b"bad":
            raise ValueError("bad message")

    gateway.subscribe(BEAT, handler)
    await gateway.flush()
    worker.publish(BEAT, b"bad")
    worker.publish(BEAT, b"good")
    await until(lambda: got == [b"bad", b"good"])
    await worker.close()
    await gateway.close()


async def test_too_large_is_refused_here_and_the_connection_lives(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    with pytest.raises(BusPayloadError):
        worker.publish(BEAT, b"x" * (worker.max_payload_bytes + 1))
    got: list[int] = []
    gateway.subscribe(BEAT, lambda message: got.append(len(message.payload)))
    await gateway.flush()
    worker.publish(BEAT, b"x" * worker.max_payload_bytes)
    await until(lambda: got == [worker.max_payload_bytes])
    assert worker.reconnects == 0
    await worker.close()
    await gateway.close()


async def test_a_wrong_password_is_refused_by_name(nats: NatsServer) -> None:
    client = BusClient(dataclasses.replace(nats.options("gateway"), password="no"))
    with pytest.raises(BusUnavailableError, match="Authorization Violation"):
        await client.connect()


async def test_a_user_may_not_publish_beyond_its_list(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    worker.publish("cmd.inference.request.submit.v1.default.batch", b"forged")
    await worker.flush()
    assert "Permissions Violation" in worker.last_error
    await worker.close()
    await gateway.close()


async def test_reconnects_after_a_kill_and_delivers_what_was_published_meanwhile(private_nats: NatsServer) -> None:
    worker, gateway = await _pair(private_nats)
    got: list[bytes] = []
    gateway.subscribe(BEAT, lambda message: got.append(message.payload))
    await gateway.flush()
    private_nats.kill()
    await until(lambda: not worker.connected and not gateway.connected)
    with pytest.raises(BusUnavailableError):
        await worker.flush()
    private_nats.start()
    await until(lambda: gateway.connected)
    worker.publish(BEAT, b"after")
    await until(lambda: got == [b"after"])
    assert worker.reconnects == 1
    await worker.close()
    await gateway.close()


async def test_what_waits_for_a_dead_server_is_bounded(private_nats: NatsServer) -> None:
    worker = BusClient(private_nats.options("inference", max_pending_bytes=10_000))
    await worker.connect()
    private_nats.kill()
    await until(lambda: not worker.connected)

    def flood() -> None:
        for _ in range(100):
            worker.publish(BEAT, b"x" * 1_000)

    with pytest.raises(BusOverloadedError):
        flood()
    await worker.close()


async def test_a_request_nobody_answers_times_out_and_one_nobody_hears_fails_at_once(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    asker = BusClient(dataclasses.replace(nats.options("gateway"), inbox_prefix="rpl.gateway.asker"))
    await asker.connect()
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await asker.request("ctl.inference.all.report", timeout_s=5)
    worker.subscribe("ctl.inference.all.report", lambda _: None)
    await worker.flush()
    with pytest.raises(BusTimeoutError):
        await asker.request("ctl.inference.all.report", timeout_s=0.1)
    for client in (worker, gateway, asker):
        await client.close()


async def test_the_answer_to_a_keepers_ping_does_not_end_a_flush_early(nats: NatsServer) -> None:
    worker, gateway = await _pair(nats)
    worker._ping()
    flushing = asyncio.create_task(worker.flush())
    await asyncio.sleep(0)
    worker._operate(b"PONG")
    await asyncio.sleep(0)
    assert not flushing.done()
    await flushing
    await worker.close()
    await gateway.close()


def test_closing_while_it_connects_never_waits_for_ever(nats: NatsServer) -> None:
    async def close_after(ticks: int) -> None:
        client = BusClient(nats.options("inference"))
        await client.connect_when_possible()
        for _ in range(ticks):
            await asyncio.sleep(0)
        await asyncio.wait_for(client.close(), timeout=3)

    async def close_at_every_tick() -> None:
        for ticks in (*range(12), *range(12), *range(12)):
            await close_after(ticks)

    # On uvloop, as every service: only there a cancelled connection is lost without a word.
    uvloop.run(close_at_every_tick())
