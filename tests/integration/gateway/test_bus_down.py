"""NATS dies, comes back, fills up: requests get a typed 503, nothing is said wrongly, service returns by itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from deploy.nats.provision import provision
from libs.contracts.topology import CMD_INFERENCE
from libs.testkit.front import CHAT, Front, running, settings_for, stored_events
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.streams import jetstream, stream_state
from libs.testkit.wait import until

STREAM = CHAT | {"stream": True}


@pytest_asyncio.fixture(loop_scope="session")
async def own_double(private_nats: NatsServer) -> AsyncIterator[Double]:
    double = Double(private_nats)
    await double.start()
    yield double
    await double.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def own_front(private_nats: NatsServer, own_double: Double, tmp_path: Path) -> AsyncIterator[Front]:
    async with running(settings_for(private_nats, tmp_path, missed_beats=1_000)) as front:
        await until(lambda: front.gateway.bus.connected)
        await front.gateway.bus.flush()
        own_double.beat()
        await until(lambda: front.gateway.fleet.has_ready_worker)
        yield front


async def test_without_nats_requests_are_refused_and_service_returns_by_itself(
    private_nats: NatsServer, own_double: Double, own_front: Front
) -> None:
    own_double.on_work = lambda work: work.answer()
    assert (await own_front.post(x_request_id="before")).status_code == 200
    assert (await own_front.http.get("/readyz")).status_code == 200
    private_nats.kill()
    await until(lambda: not own_front.gateway.bus.connected)
    refused = await own_front.post(x_request_id="during")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "bus_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    ready = await own_front.http.get("/readyz")
    assert (ready.status_code, ready.json()["missing"]) == (503, ["nats"])
    assert (await own_front.http.get("/healthz")).status_code == 200
    assert own_front.gateway.events.pending >= 1
    private_nats.start()
    await until(lambda: own_front.gateway.bus.connected and own_double.scheduler_bus.connected)
    await until(lambda: own_double.worker_bus.connected)
    assert (await own_front.post(x_request_id="after")).status_code == 200
    assert (await own_front.http.get("/readyz")).status_code == 200
    await until(lambda: own_front.gateway.events.pending == 0, what="the acknowledgement of every event")
    events = await stored_events(private_nats)
    assert [event.client_request_id for event in events] == ["before", "during", "after"]
    assert [event.error_code for event in events] == ["", "bus_unavailable", ""]
    assert own_front.gateway.events.dropped == 0


async def test_a_request_that_waits_survives_a_restart_of_nats(
    private_nats: NatsServer, own_double: Double, own_front: Front
) -> None:
    await own_double.stop_pulling()
    task = own_front.ask()
    await until(lambda: [inflight.stored_seq for inflight in own_front.gateway.relay.requests()] == [1])
    private_nats.kill()
    await until(lambda: not own_front.gateway.bus.connected)
    private_nats.start()
    await until(lambda: own_front.gateway.bus.connected and own_double.worker_bus.connected)
    await until(lambda: own_front.gateway.doubted == 0, what="the stream's word that the request waits")
    own_double.pull()
    (await own_double.next()).answer()
    assert (await task).status_code == 200
    # What the stream holds is not submitted again.
    assert (await stream_state(private_nats, CMD_INFERENCE.name)).last_seq == 1
    assert own_double.reports_asked >= 1


async def test_a_request_whose_acceptance_died_with_nats_is_submitted_again(
    private_nats: NatsServer, own_double: Double, own_front: Front
) -> None:
    task = own_front.ask()
    lost = await own_double.next()
    await until(lambda: [inflight.stored_seq for inflight in own_front.gateway.relay.requests()] == [1])
    # The double, as scheduler, has taken it out of the stream; of its worker the gateway hears nothing.
    await until_empty(private_nats)
    # Stopped in order: a server that is killed may forget that the message has gone.
    private_nats.stop()
    await until(lambda: not own_front.gateway.bus.connected)
    private_nats.start()
    again = await own_double.next()
    assert (again.envelope.request_id, again.envelope.retry) == (lost.envelope.request_id, lost.envelope.retry + 1)
    again.answer()
    assert (await task).status_code == 200
    assert own_front.gateway.doubted == 0


async def until_empty(server: NatsServer) -> None:
    """Wait until the server has settled every submission."""
    async with asyncio.timeout(30):
        while (await stream_state(server, CMD_INFERENCE.name)).messages:  # noqa: ASYNC110 - the server does not say when
            await asyncio.sleep(0.05)


async def test_a_stream_that_lost_frames_in_an_outage_ends_with_an_error(
    private_nats: NatsServer, own_double: Double, own_front: Front
) -> None:
    reader, writer = await own_front.connect(STREAM)
    work = await own_double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    await reader.readuntil(b"data: 1\n\n")
    private_nats.kill()
    await until(lambda: not own_double.worker_bus.connected)
    work.seq += 1  # this frame went to a dead server
    private_nats.start()
    await until(lambda: own_front.gateway.bus.connected and own_double.worker_bus.connected)
    work.last(b"data: [DONE]\n\n")
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    assert b"frames_lost" in rest
    assert b"[DONE]" not in rest
    writer.close()


async def test_a_full_queue_is_503_with_retry_after(private_nats: NatsServer, tmp_path: Path) -> None:
    await provision(private_nats.settings("provisioner"), ("default",), max_queue=2)
    double = Double(private_nats)
    await double.start()
    await double.stop_pulling()
    async with running(settings_for(private_nats, tmp_path, missed_beats=1_000, queue_timeout_s=2)) as front:
        await until(lambda: front.gateway.bus.connected)
        await front.gateway.bus.flush()
        double.beat()
        await until(lambda: front.gateway.fleet.has_ready_worker)
        waiting = [front.ask() for _ in range(2)]
        await until(lambda: sorted(inflight.stored_seq for inflight in front.gateway.relay.requests()) == [1, 2])
        full = await front.post()
        assert (full.status_code, full.json()["error"]["code"]) == (503, "queue_full")
        assert int(full.headers["retry-after"]) >= 1
        assert "x-should-retry" not in full.headers
        anthropic = await front.post("/v1/messages", CHAT | {"max_tokens": 3})
        assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (529, "overloaded_error")
        # Another class has a queue of its own.
        other = front.ask(x_llmos_class="realtime")
        responses = await asyncio.gather(*waiting, other)
        assert [response.json()["error"]["code"] for response in responses] == ["queue_timeout"] * 3
    await double.stop()


async def test_no_stream_is_an_outage_not_a_wait(private_nats: NatsServer, own_front: Front) -> None:
    async with jetstream(private_nats) as context:
        await context.delete_stream(CMD_INFERENCE.name)
    response = await own_front.post()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "bus_unavailable")


async def test_the_gateway_starts_before_nats(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    async with running(settings_for(server, tmp_path)) as front:
        assert (await front.http.get("/healthz")).status_code == 200
        assert (await front.http.get("/readyz")).json()["missing"] == ["nats", "worker"]
        assert (await front.post()).status_code == 503
        server.start()
        await until(lambda: front.gateway.bus.connected)
        assert (await front.http.get("/readyz")).json()["missing"] == ["worker"]
    server.stop()


async def test_what_a_gateway_handed_over_itself_when_nats_died_is_submitted_to_the_stream(
    private_nats: NatsServer, own_double: Double, own_front: Front
) -> None:
    direct = own_front.gateway.direct
    own_double.hear_runs("w1")
    own_double.name_direct("w1")
    await until(lambda: direct.choose("default", "helpdesk") == "w1", what="the name")
    task = own_front.ask()
    lost = await own_double.next()
    assert lost.delivery == 0
    private_nats.kill()
    await until(lambda: not own_front.gateway.bus.connected)
    assert direct.choose("default", "helpdesk") == "", "what was said before holds no more"
    private_nats.start()
    again = await own_double.next()
    assert (again.envelope.request_id, again.delivery) == (lost.envelope.request_id, 1)
    again.answer()
    assert (await task).status_code == 200
