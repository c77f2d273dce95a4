"""Fixtures of the worker's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from libs.testkit.nats_server import NatsServer
from tests.integration.inference.following import Stage, staged
from tests.integration.inference.rig import Rig, start_rig, stop_rig


@pytest_asyncio.fixture
async def rig(nats: NatsServer) -> AsyncIterator[Rig]:
    """A worker with the fake engine and its doubles, on the shared bus."""
    rig = await start_rig(nats, drain_timeout_s=0.2, capacity=8)
    yield rig
    await stop_rig(rig)


@pytest_asyncio.fixture
async def stage(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Stage]:
    """A worker that can be started, and a registry's double that deploys to it."""
    async with staged(nats, tmp_path) as stage:
        yield stage
