"""The whole platform, started once per session: with the fake engine, and with real vLLM where a test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.nats.provision import provision
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import ROOT, VLLM_ENGINE, Platform

STARTER_MODEL = ROOT / "deploy" / "starter" / "helpdesk"


def _run_provision(server: NatsServer, max_queue: int | None = None) -> None:
    import asyncio  # noqa: PLC0415 - a fixture outside the test loop needs one of its own

    with asyncio.Runner() as runner:
        runner.run(provision(server.settings("provisioner"), ("default",), max_queue=max_queue))


@pytest.fixture(scope="session")
def fake_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The path with two fake workers; shared, so a test must not kill any of its parts."""
    directory = tmp_path_factory.mktemp("platform")
    server = NatsServer(directory)
    server.start()
    _run_provision(server)
    with Platform(directory / "path", server, workers=2) as platform:
        yield platform
    server.stop()


@pytest.fixture
def own_capacity() -> int:
    """Executions per worker in `own_platform`; a test may parametrize it."""
    return 64


@pytest.fixture
def own_platform(tmp_path: Path, own_capacity: int) -> Iterator[Platform]:
    """The path with two fake workers and impatient settings, for one test to break as it likes."""
    server = NatsServer(tmp_path)
    server.start()
    _run_provision(server, max_queue=20)
    impatient = {
        "GATEWAY_QUEUE_TIMEOUT_S": "20",
        "SCHEDULER_BEAT_TIMEOUT_S": "2",
        "INFERENCE_CAPACITY": str(own_capacity),
    }
    with Platform(tmp_path / "path", server, workers=2, environment=impatient) as platform:
        yield platform
    server.stop()


@pytest.fixture(scope="session")
def vllm_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The path with one real vLLM worker that serves the starter model."""
    directory = tmp_path_factory.mktemp("vllm-platform")
    server = NatsServer(directory)
    server.start()
    _run_provision(server)
    with Platform(directory / "path", server, engine=VLLM_ENGINE, model=str(STARTER_MODEL)) as platform:
        yield platform
    server.stop()


@pytest.fixture(params=["fake", pytest.param("vllm", marks=pytest.mark.vllm)])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Each test that takes this runs on the fake engine and on real vLLM."""
    started: Platform = request.getfixturevalue(f"{request.param}_platform")
    return started
