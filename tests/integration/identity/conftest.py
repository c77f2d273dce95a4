"""Identity processes on a database of the test's own, and somebody who asks as a gateway does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.kit.settings import PostgresSettings
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer


@pytest.fixture
def ground(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> IdentityGround:
    return IdentityGround(nats, postgres_server, database, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(ground: IdentityGround) -> AsyncIterator[IdentityDesk]:
    """Beside one identity process in the test's own."""
    async with ground.service(), ground.desk() as asking:
        yield asking
