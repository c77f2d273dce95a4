"""Fixtures of the worker's tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from libs.testkit.nats_server import NatsServer
from tests.integration.inference.rig import Rig, start_rig, stop_rig


@pytest_asyncio.fixture
async def rig(nats: NatsServer) -> AsyncIterator[Rig]:
    """A worker with the fake engine and its doubles, on the shared bus."""
    rig = await start_rig(nats, drain_timeout_s=0.2, capacity=8)
    yield rig
    await stop_rig(rig)
