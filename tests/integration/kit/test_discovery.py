"""Services that stand on a database, as others see them: there, without their database, and gone."""

import asyncio
import dataclasses
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from libs.contracts import effective
from libs.contracts.discovery import InstanceState
from libs.contracts.identity import LEASING, OPERATIONS, FindOrganisations
from libs.kit.bus import BusClient
from libs.kit.errors import ServiceError
from libs.kit.identity_client import BusIdentity
from libs.kit.roll_call import RollCall
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.identity import IdentityGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import eventually
from services.registry.app import build_app
from services.registry.settings import Settings

Found = Callable[[str], Awaitable[tuple[InstanceState, ...]]]


@pytest_asyncio.fixture(loop_scope="session")
async def asking(nats: NatsServer) -> AsyncIterator[BusClient]:
    """The bus as a gateway has it."""
    bus = BusClient(dataclasses.replace(nats.options("gateway"), inbox_prefix="rpl.gateway"))
    await bus.connect()
    yield bus
    await bus.close()


@pytest.fixture
def found(asking: BusClient) -> Found:
    """Every process of a service that answers."""

    async def ask(service: str) -> tuple[InstanceState, ...]:
        services = (await RollCall(asking, "rpl.gateway", limit_s=30).call()).services
        return next(each.instances for each in services if each.name == service)

    return ask


async def _until_lacking(found: Found, service: str, *lacks: str) -> InstanceState:
    async def ask() -> InstanceState | None:
        return next((one for one in await found(service) if one.lacks == lacks), None)

    return await eventually(ask, timeout_s=90, what=f"{service} without {lacks}")


async def test_a_service_that_has_lost_its_database_says_so_and_is_still_there(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path, found: Found,
    asking: BusClient,
) -> None:  # fmt: skip
    async with IdentityGround(nats, postgres_server, database, tmp_path).service() as service:
        before = await _until_lacking(found, "identity")
        assert (before.id, before.ready, before.depends) == (service.instance, True, ("nats", "database"))
        await asyncio.to_thread(postgres_server.kill)
        try:
            lost = await _until_lacking(found, "identity", "database")
            assert (lost.id, lost.ready) == (service.instance, False)
            with pytest.raises(ServiceError):
                await BusIdentity(asking).call("organisation_list", FindOrganisations())
        finally:
            await asyncio.to_thread(postgres_server.start)
        again = await _until_lacking(found, "identity")
        assert {one.name for one in again.endpoints} == {
            *OPERATIONS,
            *LEASING,
            *effective.OPERATIONS,
            *effective.PROCESS_OPERATIONS,
        }
        asked = next(one for one in again.endpoints if one.name == "organisation_list")
        assert (asked.requests, asked.errors) == (1, {"storage_unavailable": 1})
        assert asked.last_error.startswith("storage_unavailable: ")
    assert await found("identity") == ()


async def test_a_process_that_is_killed_is_gone_and_the_other_one_stays(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path, found: Found
) -> None:
    ground = IdentityGround(nats, postgres_server, database, tmp_path)

    async def alone() -> tuple[InstanceState, ...] | None:
        there = await found("identity")
        return there if len(there) == 1 else None

    async with ground.service() as service, ground.started_process() as process:
        both = await found("identity")
        assert process.process is not None
        assert process.process.pid in {one.pid for one in both}
        await process.end(signal.SIGKILL)
        (left,) = await eventually(alone, timeout_s=60)
        assert left.id == service.instance


async def test_the_registry_says_which_of_its_stores_is_away(
    nats: NatsServer, object_server: ObjectServer, bucket: ObjectSettings, database: PostgresSettings, found: Found
) -> None:
    app = build_app(Settings(nats=nats.settings("registry"), database=database, objects=bucket))
    await app.start()
    try:
        there = await _until_lacking(found, "registry")
        assert there.depends == ("nats", "database", "s3")
        await asyncio.to_thread(object_server.kill)
        try:
            await _until_lacking(found, "registry", "s3")
        finally:
            await asyncio.to_thread(object_server.start)
        await _until_lacking(found, "registry")
    finally:
        await app.stop()
