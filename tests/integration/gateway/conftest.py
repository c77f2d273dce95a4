"""A gateway that knows one model, and the double behind it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.rest import RestCaller
from libs.testkit.front import Front, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.wait import until
from tests.integration.gateway.admin_scene import ADMIN
from tests.integration.gateway.registry_double import ServiceDouble


@pytest_asyncio.fixture(loop_scope="session")
async def double(nats: NatsServer) -> AsyncIterator[Double]:
    """Scheduler and worker, played by the test, on the shared bus."""
    double = Double(nats)
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def overrides() -> dict[str, Any]:
    """Settings that a test module changes for its gateway."""
    return {}


@pytest.fixture
def admin_keys(tmp_path: Path) -> dict[str, Any]:
    """Settings with which `ADMIN` may administer, as `ops`."""
    admins = tmp_path / "admins"
    admins.write_text(f"ops:{ADMIN}\n", encoding="utf-8")
    return {"admin_keys_file": admins}


@pytest_asyncio.fixture(loop_scope="session")
async def behind(request: pytest.FixtureRequest, nats: NatsServer) -> AsyncIterator[ServiceDouble]:
    """The module's `SERVICE`, which answers its `GOOD`."""
    double = ServiceDouble(nats, dict(request.module.GOOD), service=request.module.SERVICE)
    await double.start()
    yield double
    await double.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def client(request: pytest.FixtureRequest, front: Front) -> AsyncIterator[RestCaller]:
    """The module's `CLIENT`, with an admin key."""
    async with request.module.CLIENT(f"http://127.0.0.1:{front.port}/v1", ADMIN) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def front(nats: NatsServer, double: Double, tmp_path: Path, overrides: dict[str, Any]) -> AsyncIterator[Front]:
    """A gateway that knows the model `helpdesk`; no worker beats by itself."""
    # Nobody beats regularly here, so silence must not count unless a test wants it to.
    async with running(settings_for(nats, tmp_path, **({"missed_beats": 1_000} | overrides))) as front:
        await until(lambda: front.gateway.bus.connected, what="the gateway's bus")
        await front.gateway.bus.flush()
        double.beat()
        await until(lambda: front.gateway.fleet.has_ready_worker, what="the first beat")
        yield front
