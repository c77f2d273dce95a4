"""What the registry stands on goes away while it is asked: typed errors, nothing lost, and the retry completes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
import pytest_asyncio
from nats.js import JetStreamContext
from structlog.testing import capture_logs

from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.contracts.registry import CommitUpload, Deploy, Kind, ListVersions, Resolve, SetAlias, Verify
from libs.contracts.topology import DEPLOYMENTS, EVT_REGISTRY
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, Options, publish, scan
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import eventually, until
from tests.integration.registry.followers import followers


async def _code(desk: RegistryDesk, operation: str, request: object) -> str:
    with pytest.raises(ServiceError) as caught:
        await desk.call(operation, request)
    return caught.value.code


async def _once_it_can(desk: RegistryDesk, operation: str, request: object) -> Any:
    """The result; a store that has just started may name its objects some moments before it can read them."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await desk.call(operation, request)
            except ServiceError as error:
                if error.code != "storage_unavailable":
                    raise
                await asyncio.sleep(0.1)


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
    version = await _once_it_can(desk, "upload_commit", CommitUpload(upload.upload_id))
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


async def test_what_is_decided_while_the_bus_refuses_is_told_when_it_takes_again(
    lonely_ground: RegistryGround, model: Path
) -> None:
    nats = lonely_ground.nats
    async with lonely_ground.registry() as registry, lonely_ground.desk() as desk, _context(nats) as context:
        await desk.publish(model, "helpdesk")
        move = SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ann")
        with capture_logs() as lines:
            for stream in (EVT_REGISTRY.name, f"KV_{DEPLOYMENTS.name}"):
                await context.delete_stream(stream)
            await desk.call("alias_set", move)
            await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@1", author="ann"))
            # As soon as the server says no: the leader has more to do than to wait for its patience.
            await until(lambda: {line.get("work") for line in lines} >= {"relay", "round"}, timeout_s=3)
        assert {line["code"] for line in lines if "work" in line} == {"bus_unavailable"}
        await provision(nats.settings("provisioner"), ("default",))
        async with followers(nats, "w0") as workers:
            await until(lambda: workers.now is not None)

        async def told() -> set[str] | None:
            info = await context.stream_info(EVT_REGISTRY.name, subjects_filter=">")
            there = set(info.state.subjects or ())
            return there if subjects.ALIAS_MOVED in there else None

        assert subjects.ALIAS_MOVED in await eventually(told)
        await until(lambda: registry.fleet.is_known)


@asynccontextmanager
async def _context(nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    password = nats.passwords["provisioner"]
    client = await nats_py.connect(f"nats://{nats.host}:{nats.port}", user="provisioner", password=password)
    yield client.jetstream()
    await client.close()


@pytest_asyncio.fixture(loop_scope="session")
async def small_ground(
    nats: NatsServer,
    postgres_server: PostgresServer,
    database: PostgresSettings,
    tmp_path: Path,
) -> AsyncIterator[RegistryGround]:
    """With a store of its own, whose files are all small."""
    store = ObjectServer(tmp_path / "store")
    await asyncio.to_thread(store.start)
    yield RegistryGround(nats, postgres_server, store, database, store.settings("t"), tmp_path)
    await asyncio.to_thread(store.discard)


async def test_a_store_whose_disk_is_full_takes_nothing_half_and_everything_again_when_there_is_room(
    small_ground: RegistryGround, model: Path, tmp_path: Path
) -> None:
    store = small_ground.objects
    large = write_model(tmp_path / "large", 7, rows=(16 << 20) // 32)
    found = scan(large, Description(name="helpdesk", kind=Kind.MODEL))
    async with small_ground.registry(), small_ground.desk() as desk:
        first = await desk.publish(model, "helpdesk")
        await asyncio.to_thread(store.fill, 1 << 20)
        with pytest.raises(ServiceError) as caught:
            await publish(desk.client, found, "ann", options=Options(attempts=2, pause_s=0.01))
        assert caught.value.code == "storage_unavailable"
        assert "models gc --delete" in caught.value.message
        upload = await desk.begin(found)
        assert max(one.blob.size_bytes for one in upload.missing) > 16 << 20
        assert await _code(desk, "upload_commit", CommitUpload(upload.upload_id)) == "digest_mismatch"
        assert [one.number for one in (await desk.call("version_list", ListVersions())).versions] == [1]
        assert (await desk.call("version_verify", Verify(first.reference))).bad == ()

        await asyncio.to_thread(store.make_room)
        version = await publish(desk.client, found, "ann")
        assert version.number == 2
        for one in (first, version):
            assert (await desk.call("version_verify", Verify(one.reference))).bad == ()
