"""One real vLLM worker for all tests that need one: it takes half a minute to start."""

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from deploy.nats.provision import provision
from libs.contracts.inference import Envelope
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import ROOT, VLLM_ENGINE, Platform
from libs.testkit.ports import free_port
from libs.testkit.worker_double import Answer, Double

STARTER = ROOT / "deploy" / "starter" / "helpdesk"
START_TIMEOUT_S = 240.0
ENGINE_ARGS = ("--max-num-seqs", "16", "--enable-lora")
"""Adapters enabled, because that is the engine with the dangerous fields."""


@dataclass
class VllmWorker:
    """A worker process with real vLLM, and doubles of the scheduler and the gateway."""

    platform: Platform
    double: Double
    id: str
    metrics_port: int

    async def run(self, env: Envelope, body: bytes) -> Answer:
        """Hand one request over and wait for its end."""
        return await self.double.run(self.id, env, body, timeout_s=60)

    def families(self) -> Iterator[Metric]:
        """Its page, read."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as response:
            yield from text_string_to_metric_families(response.read().decode())

    def metric(self, name: str) -> float:
        """A figure, summed over its labels."""
        samples = (sample for family in self.families() for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name == name)


@asynccontextmanager
async def start_vllm(server: NatsServer, directory: Path) -> AsyncIterator[VllmWorker]:
    """A worker process with the starter model in a real engine."""
    port = free_port()
    environment = {"INFERENCE_METRICS_PORT": str(port), "INFERENCE_ENGINE_ARGS": json.dumps(ENGINE_ARGS)}
    platform = Platform(directory, server, engine=VLLM_ENGINE, model=str(STARTER), environment=environment)
    double = Double(server)
    await double.start()
    try:
        worker = await _first_beat(platform, double)
        yield VllmWorker(platform, double, worker, port)
    finally:
        platform.__exit__()
        await double.stop()


async def _first_beat(platform: Platform, double: Double) -> str:
    """Start the process; its instance id, once it is ready."""
    platform.start("worker-0")
    try:
        beat = await double.beat_where(lambda beat: beat.engine.startswith("vllm"), timeout_s=START_TIMEOUT_S)
    except AssertionError as error:
        raise AssertionError(platform.logs()) from error
    return beat.worker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vllm_worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmWorker]:
    """The worker that all tests share; none may end it. On a bus of its own, where no scheduler can find it."""
    server = NatsServer(tmp_path_factory.mktemp("vllm-nats"))
    server.start()
    await provision(server.settings("provisioner"), ("default",))
    try:
        async with start_vllm(server, tmp_path_factory.mktemp("vllm")) as worker:
            yield worker
    finally:
        server.stop()
