"""What a gateway says of itself and of those beside it: ready, degraded, and who is there."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.contracts.discovery import SERVICES, InstanceState, ServiceList
from libs.kit.bus import BusClient
from libs.kit.discovery import Discovery
from libs.kit.health import Health
from libs.kit.version import VERSION
from libs.testkit.front import Front, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.wait import eventually, until
from tests.integration.gateway.admin_scene import ask

BEHIND = {"scheduler", "registry", "feedback", "trainer", "rollout", "identity", "events", "audit"}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


@asynccontextmanager
async def _process(nats: NatsServer, service: str, health: Health) -> AsyncIterator[None]:
    """A process of `service` that does nothing but say that it is there."""
    bus = BusClient(dataclasses.replace(nats.options(service), inbox_prefix="_INBOX"))
    Discovery(service, f"{service[0]}1", health).listen(bus)
    await bus.connect()
    await bus.flush()
    try:
        yield
    finally:
        await bus.close()


async def _degraded(front: Front, wanted: set[str]) -> dict[str, Any] | None:
    answer = await front.http.get("/readyz")
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["ready"], found["missing"]) == (200, True, [])
    return found if set(found["degraded"]) == wanted else None


async def test_it_is_ready_without_those_that_serving_does_not_need_and_names_them(
    front: Front, nats: NatsServer
) -> None:
    await eventually(lambda: _degraded(front, BEHIND), timeout_s=60)
    async with _process(nats, "feedback", Health()), _process(nats, "audit", Health()):
        await eventually(lambda: _degraded(front, BEHIND - {"feedback", "audit"}), timeout_s=60)
    await eventually(lambda: _degraded(front, BEHIND), timeout_s=60)


async def test_what_it_cannot_serve_without_is_missing_beside_that(front: Front, double: Double) -> None:
    await double.stop()
    front.gateway.begin_drain()
    answer = await front.http.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["accepting"])
    assert set(answer.json()["degraded"]) == BEHIND


async def _services(front: Front) -> dict[str, tuple[InstanceState, ...]]:
    answer = await ask(front, "GET", "/services")
    assert answer.status_code == 200, answer.text
    found = msgspec.json.decode(answer.content, type=ServiceList).services
    assert [each.name for each in found] == list(SERVICES)
    return {each.name: each.instances for each in found}


async def test_an_operator_reads_who_is_there_and_what_each_lacks(front: Front, nats: NatsServer) -> None:
    health = Health()
    health.see("database", lambda: False)

    async def feedback(count: int) -> dict[str, tuple[InstanceState, ...]] | None:
        found = await _services(front)
        return found if len(found["feedback"]) == count else None

    async with _process(nats, "feedback", health):
        found = await eventually(lambda: feedback(1), timeout_s=60)
        (one,) = found["feedback"]
        assert (one.id, one.version, one.ready, one.lacks) == ("f1", VERSION, False, ("database",))
        (gateway,) = found["gateway"]
        assert (gateway.id, gateway.ready, gateway.lacks) == (front.gateway.instance, True, ())
        assert set(gateway.degraded) <= BEHIND - {"feedback"}
        assert {"nats", "worker", "accepting"} <= set(gateway.depends)
    await eventually(lambda: feedback(0), timeout_s=60)


async def test_nobody_is_called_absent_while_the_bus_is_away(
    private_nats: NatsServer, tmp_path: Path, admin_keys: dict[str, Any]
) -> None:
    async with running(settings_for(private_nats, tmp_path, **admin_keys)) as front:
        await until(lambda: front.gateway.bus.connected, timeout_s=60)
        private_nats.kill()
        await until(lambda: not front.gateway.bus.connected, timeout_s=60)
        answer = await ask(front, "GET", "/services")
        assert (answer.status_code, answer.json()["code"]) == (503, "bus_unavailable")
        answer = await front.http.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["nats", "worker"])
