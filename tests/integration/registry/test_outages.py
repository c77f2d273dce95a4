"""What the registry stands on goes away while it is asked: typed errors, nothing lost, and the retry completes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.contracts.registry import CommitUpload, Kind, ListVersions, Resolve, SetAlias, Verify
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, scan
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import until


async def _code(desk: RegistryDesk, operation: str, request: object) -> str:
    with pytest.raises(ServiceError) as caught:
        await desk.call(operation, request)
    return caught.value.code


async def test_a_store_that_dies_during_a_publication(
    object_server: ObjectServer, ground: RegistryGround, desk: RegistryDesk, model: Path
) -> None:
    assert ground.objects is object_server
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    await desk.send(found, upload.missing[:2])
    await asyncio.to_thread(object_server.kill)
    try:
        assert await _code(desk, "upload_commit", CommitUpload(upload.upload_id)) == "storage_unavailable"
        assert (await desk.call("version_list", ListVersions())).versions == ()
    finally:
        await asyncio.to_thread(object_server.start)
    again = await desk.begin(found)
    assert again.missing_total == 2
    await desk.send(found, again.missing)
    await asyncio.to_thread(object_server.kill)
    try:
        assert await _code(desk, "upload_commit", CommitUpload(upload.upload_id)) == "storage_unavailable"
        assert (await desk.call("version_list", ListVersions())).versions == ()
    finally:
        await asyncio.to_thread(object_server.start)
    version = await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert version.number == 1
    assert (await desk.call("version_verify", Verify(version.reference))).bad == ()


async def test_a_database_that_dies_between_two_calls(
    postgres_server: PostgresServer, desk: RegistryDesk, model: Path
) -> None:
    version = await desk.publish(model, "helpdesk")
    move = SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ann")
    await asyncio.to_thread(postgres_server.kill)
    try:
        assert await _code(desk, "alias_set", move) == "storage_unavailable"
        assert await _code(desk, "version_show", Resolve("helpdesk@1")) == "storage_unavailable"
    finally:
        await asyncio.to_thread(postgres_server.start)
    assert (await desk.call("alias_set", move)).generation == 1
    assert (await desk.call("version_show", Resolve("helpdesk"))).version.digest == version.digest


@pytest_asyncio.fixture(loop_scope="session")
async def lonely_ground(
    private_nats: NatsServer,
    postgres_server: PostgresServer,
    object_server: ObjectServer,
    database: PostgresSettings,
    bucket: ObjectSettings,
    tmp_path: Path,
) -> AsyncIterator[RegistryGround]:
    yield RegistryGround(private_nats, postgres_server, object_server, database, bucket, tmp_path)


async def test_a_bus_that_dies_and_comes_back(lonely_ground: RegistryGround, model: Path) -> None:
    async with lonely_ground.registry() as registry, lonely_ground.desk() as desk:
        await desk.publish(model, "helpdesk")
        await asyncio.to_thread(lonely_ground.nats.kill)
        await until(lambda: not desk.bus.connected)
        assert await _code(desk, "version_show", Resolve("helpdesk@1")) == "bus_unavailable"
        await asyncio.to_thread(lonely_ground.nats.start)
        await until(lambda: desk.bus.connected and registry.broker.connection.is_connected)
        assert (await desk.call("version_show", Resolve("helpdesk@1"))).version.number == 1
