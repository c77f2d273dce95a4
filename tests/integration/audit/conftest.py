"""An audit process on a database that is made anew, and somebody who writes as a gateway does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.testkit.audit import AuditDesk, AuditGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer


@pytest.fixture
def ground(private_nats: NatsServer, postgres_server: PostgresServer, tmp_path: Path) -> AuditGround:
    """With a bus of its own: the newest link that was ever said outlives a test."""
    return AuditGround(private_nats, postgres_server, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(ground: AuditGround) -> AsyncIterator[AuditDesk]:
    """Beside one audit process in the test's own."""
    async with ground.service(), ground.desk() as asking:
        yield asking
