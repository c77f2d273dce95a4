"""Feedback in the test's process, somebody who tells and asks it, and somebody who looks into its tables."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.kit.settings import PostgresSettings
from libs.testkit.feedback import FeedbackDesk, FeedbackGround, Rows
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer
from services.feedback.app import Feedback


@pytest.fixture
def ground(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> FeedbackGround:
    return FeedbackGround(nats, postgres_server, database, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def feedback(ground: FeedbackGround) -> AsyncIterator[Feedback]:
    async with ground.feedback() as app:
        yield app


@pytest_asyncio.fixture(loop_scope="session")
async def desk(feedback: Feedback, ground: FeedbackGround) -> AsyncIterator[FeedbackDesk]:
    assert feedback.instance
    async with ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def rows(ground: FeedbackGround) -> AsyncIterator[Rows]:
    async with ground.rows() as looking:
        yield looking
