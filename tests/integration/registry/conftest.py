"""A registry in the test's process, and somebody who asks it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.models import write_adapter, write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from services.registry.app import Registry


@pytest.fixture
def ground(
    nats: NatsServer,
    postgres_server: PostgresServer,
    object_server: ObjectServer,
    database: PostgresSettings,
    bucket: ObjectSettings,
    tmp_path: Path,
) -> RegistryGround:
    return RegistryGround(nats, postgres_server, object_server, database, bucket, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def registry(ground: RegistryGround) -> AsyncIterator[Registry]:
    async with ground.registry() as app:
        yield app


@pytest_asyncio.fixture(loop_scope="session")
async def desk(registry: Registry, ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    assert registry.instance
    async with ground.desk() as asking:
        yield asking


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")
