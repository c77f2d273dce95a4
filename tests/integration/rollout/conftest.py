"""A rollout process in the test's own beside a real registry, and somebody who orders and looks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.stores import ObjectServer, PostgresServer
from tests.integration.rollout.world import World, world


@pytest.fixture
def ground(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> RolloutGround:
    return RolloutGround(nats, postgres_server, database, tmp_path)


@pytest.fixture
def registry_ground(ground: RolloutGround, object_server: ObjectServer, bucket: ObjectSettings) -> RegistryGround:
    """The registry in the database of the rollouts; each has a schema of its own."""
    return RegistryGround(ground.nats, ground.postgres, object_server, ground.database, bucket, ground.directory)


@pytest_asyncio.fixture(loop_scope="session")
async def models(registry_ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    async with registry_ground.registry(), registry_ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def desk(ground: RolloutGround) -> AsyncIterator[RolloutDesk]:
    async with ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def around(ground: RolloutGround, models: RegistryDesk) -> AsyncIterator[World]:
    async with world(ground, models) as surroundings:
        yield surroundings
