"""The task that publishes the stack's model, against a real registry: what it leaves alone and what it replaces."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from deploy.local.publish_model import AUTHOR, Settings, settle
from libs.contracts.registry import Deploy, ListAliases, ListVersions, PoolName, Resolve, SetAlias
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from tests.integration.local.conftest import Commanded


@pytest_asyncio.fixture(loop_scope="session")
async def desk(
    nats: NatsServer,
    postgres_server: PostgresServer,
    object_server: ObjectServer,
    database: PostgresSettings,
    bucket: ObjectSettings,
    tmp_path: Path,
) -> AsyncIterator[RegistryDesk]:
    ground = RegistryGround(nats, postgres_server, object_server, database, bucket, tmp_path)
    async with ground.registry(), ground.desk() as asking:
        yield asking


def _settings(directory: Path, *, asked: bool = False, name: str = "helpdesk") -> Settings:
    return Settings(directory=directory, name=name, pool="default", asked=asked)


async def _served(desk: RegistryDesk) -> tuple[str, int]:
    deployment = (await desk.call("deployment_show", PoolName("default"))).deployment
    return deployment.base.digest, deployment.generation


async def test_the_first_start_publishes_names_a_champion_and_deploys(desk: RegistryDesk, tmp_path: Path) -> None:
    done = await settle(desk.client, _settings(write_model(tmp_path / "a", 1)))

    version = (await desk.call("version_show", Resolve("helpdesk"))).version
    assert (version.published_by, version.aliases) == (AUTHOR, ("champion",))
    assert (await _served(desk))[0] == version.digest
    assert len(done) == 3
    names = (await desk.call("deployment_show", PoolName("default"))).deployment.names
    assert names["helpdesk"] == names["helpdesk@champion"] == version.reference


async def test_a_second_start_changes_nothing(desk: RegistryDesk, tmp_path: Path) -> None:
    settings = _settings(write_model(tmp_path / "a", 1), asked=True)
    await settle(desk.client, settings)
    before = await _served(desk)
    done = await settle(desk.client, settings)

    assert len(done) == 1
    assert await _served(desk) == before
    assert len((await desk.call("version_list", ListVersions())).versions) == 1
    history = await desk.call("alias_list", ListAliases("helpdesk", "champion"))
    assert len(history.aliases) == 1


async def test_what_operators_have_decided_outlives_a_start(desk: RegistryDesk, tmp_path: Path) -> None:
    settings = _settings(write_model(tmp_path / "a", 1))
    await settle(desk.client, settings)
    other = await desk.publish(write_model(tmp_path / "b", 2), "helpdesk")
    await desk.call("alias_set", SetAlias(name="helpdesk", alias="champion", target="helpdesk@2", author="ann"))
    await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@2", author="ann"))
    before = await _served(desk)
    await settle(desk.client, settings)

    assert before[0] == other.digest
    assert await _served(desk) == before
    assert (await desk.call("version_show", Resolve("helpdesk"))).version.digest == other.digest


async def test_a_model_that_was_asked_for_is_served(desk: RegistryDesk, tmp_path: Path) -> None:
    await settle(desk.client, _settings(write_model(tmp_path / "a", 1)))
    await settle(desk.client, _settings(write_model(tmp_path / "b", 2), asked=True, name="other"))
    other = (await desk.call("version_show", Resolve("other"))).version
    assert (await _served(desk))[0] == other.digest

    # The same name with new bytes: they are what was asked for, under the name that clients use.
    await settle(desk.client, _settings(write_model(tmp_path / "c", 3), asked=True, name="other"))
    newer = (await desk.call("version_show", Resolve("other"))).version
    assert newer.number == 2
    assert (await _served(desk))[0] == newer.digest


def test_a_model_that_no_registry_takes_stops_the_start_at_once_and_says_why(
    own_stack: Commanded, tmp_path: Path
) -> None:
    unsafe = write_model(tmp_path / "unsafe")
    (unsafe / "modeling_evil.py").write_text("print('hello')")
    refused = own_stack.run("up", "--detach", "--model", str(unsafe), "--port", str(free_port()))

    assert refused.returncode == 1
    assert "modeling_evil.py" in refused.stderr
    assert own_stack.home.log("publish-model").read_text().count("modeling_evil.py is refused") == 1
