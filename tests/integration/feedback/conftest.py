"""Feedback in the test's process, somebody who tells and asks it, and somebody who looks into its tables."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
import pytest_asyncio

from libs.contracts.topology import EVT_FEEDBACK
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


@pytest.fixture
def events(nats: NatsServer) -> Callable[[], Awaitable[list[Any]]]:
    """Everything that feedback has announced, in order."""

    async def read() -> list[Any]:
        address = f"nats://{nats.host}:{nats.port}"
        client = await nats_py.connect(address, user="provisioner", password=nats.passwords["provisioner"])
        jetstream = client.jetstream()
        state = (await jetstream.stream_info(EVT_FEEDBACK.name)).state
        found = [
            await jetstream.get_msg(EVT_FEEDBACK.name, number) for number in range(state.first_seq, state.last_seq + 1)
        ]
        await client.close()
        return found

    return read
