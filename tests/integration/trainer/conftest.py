"""A trainer in the test's process beside a real registry, and somebody who orders and looks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.trainer import Things, TrainerDesk, TrainerGround, publish_things
from services.trainer.app import Trainer


@pytest.fixture
def ground(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> TrainerGround:
    return TrainerGround(nats, postgres_server, database, tmp_path)


@pytest.fixture
def registry_ground(ground: TrainerGround, object_server: ObjectServer, bucket: ObjectSettings) -> RegistryGround:
    """The registry in the database of the trainer; each has a schema of its own."""
    return RegistryGround(ground.nats, ground.postgres, object_server, ground.database, bucket, ground.directory)


@pytest_asyncio.fixture(loop_scope="session")
async def models(registry_ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    async with registry_ground.registry(), registry_ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def things(models: RegistryDesk, tmp_path: Path) -> Things:
    return await publish_things(models, tmp_path / "published")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(ground: TrainerGround) -> AsyncIterator[TrainerDesk]:
    async with ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def trainer(ground: TrainerGround, things: Things) -> AsyncIterator[Trainer]:
    assert things.base
    async with ground.trainer() as app:
        yield app
