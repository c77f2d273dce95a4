"""Requests that go past the scheduler on the whole path: traced, crowded, and with the scheduler gone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from deploy.nats.provision import provision
from libs.testkit.collector import Collector, collecting
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform
from libs.testkit.wait import eventually, until
from tests.e2e.tracing_scene import tracing

CHAT = {"model": "helpdesk", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 8}
CAPACITY = 4


class Scene:
    """One worker with little room, a client, and a collector."""

    def __init__(self, platform: Platform, http: httpx2.AsyncClient, collector: Collector) -> None:
        self.platform = platform
        self.http = http
        self.collector = collector

    async def chat(self, **headers: str) -> int:
        """Ask once; the status."""
        return (await self.http.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code

    async def ways(self) -> dict[str, float]:
        """How many requests went each way."""
        page = (await self.http.get("/metrics")).text
        lines = [line for line in page.splitlines() if line.startswith("llmos_gateway_submissions_total{")]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}

    async def is_direct(self) -> bool | None:
        """Ask once; whether it went past the scheduler."""
        before = await self.ways()
        assert await self.chat() == 200
        return (await self.ways())["direct"] == before["direct"] + 1 or None

    async def calm(self) -> None:
        """Return when requests go past the scheduler."""
        await eventually(self.is_direct, timeout_s=60, what="a request past the scheduler")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    directory: Path = tmp_path_factory.mktemp("direct")
    nats = NatsServer(directory)
    nats.start()
    await provision(nats.settings("provisioner"), ("default",))
    with collecting() as collector:
        environment = {**tracing(collector.url), "INFERENCE_CAPACITY": str(CAPACITY)}
        with Platform(directory / "path", nats, environment=environment) as platform:
            headers = {"authorization": f"Bearer {platform.api_key}"}
            async with httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=60) as http:
                yield Scene(platform, http, collector)
    nats.stop()


async def test_its_trace_is_whole_without_the_hop_that_was_not_made(scene: Scene) -> None:
    await scene.calm()
    trace_id = f"{7:032x}"
    assert await scene.chat(traceparent=f"00-{trace_id}-{7:016x}-01") == 200
    await until(lambda: len(scene.collector.trace(trace_id)) == 2, timeout_s=60, what="two spans")
    http, worker = (scene.collector.named(trace_id, name) for name in ("POST /v1/chat/completions", "chat helpdesk"))
    assert http is not None
    assert worker is not None
    assert worker.parent_id == http.span_id
    assert http.attributes["llmos.direct"] is True
    assert worker.attributes["llmos.attempt"] == 0


async def test_a_crowd_beyond_the_room_is_queued_and_answered_whole_and_calm_returns(scene: Scene) -> None:
    await scene.calm()
    before = await scene.ways()
    crowd = await asyncio.gather(*(scene.chat() for _ in range(20 * CAPACITY)))
    assert set(crowd) == {200}
    after = await scene.ways()
    assert after["direct"] - before["direct"] >= CAPACITY
    assert after["express"] > before["express"], "those beyond the room went to the scheduler"
    await scene.calm()


async def test_without_a_scheduler_it_goes_on_for_a_while_and_then_waits_for_the_next(scene: Scene) -> None:
    await scene.calm()
    scene.platform.kill("scheduler")
    assert await scene.is_direct(), "the word of the dead one still holds"

    async def stored() -> bool | None:
        waiting = asyncio.create_task(scene.chat())
        done, _ = await asyncio.wait((waiting,), timeout=0.5)
        if done:
            assert waiting.result() == 200
            return None
        scene.platform.start("scheduler")
        assert await waiting == 200
        return True

    await eventually(stored, timeout_s=60, what="a request that waits for a scheduler")
    await scene.calm()
