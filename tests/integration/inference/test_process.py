"""The worker as a process: signals, exit statuses, crashes, children."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.contracts.frames import Flag
from libs.contracts.inference import WorkerState
from libs.kit import clock
from libs.testkit.blob_store import BlobStore
from libs.testkit.fake_engine import CRASH_STATUS
from libs.testkit.fake_versions import make_weights
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import FAKE_ENGINE, ROOT, Platform
from libs.testkit.processes import die_with_parent
from libs.testkit.registry_double import RegistryDouble
from libs.testkit.wait import until
from libs.testkit.worker_double import Double, chat, envelope


@pytest.fixture
def platform(nats: NatsServer, tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path, nats)
    yield platform
    platform.__exit__()


async def started(platform: Platform, double: Double) -> tuple[subprocess.Popen[bytes], str]:
    """Start one worker process and wait for its first beat."""
    await double.start()
    platform.start("worker-0")
    beat = await double.beat_where(lambda beat: beat.state is WorkerState.READY, timeout_s=30)
    return platform.processes["worker-0"], beat.worker


async def test_sigterm_drains_and_ends_with_0(platform: Platform) -> None:
    double = Double(platform.nats)
    process, worker = await started(platform, double)
    env = envelope()
    await double.hand_over(worker, env, chat(stream=True, max_tokens=20, user="pace-10ms"))
    process.send_signal(signal.SIGTERM)
    await until(lambda: process.poll() is not None)
    assert process.returncode == 0
    await until(lambda: double.answers[env.request_id].ended)
    assert double.answers[env.request_id].last.flags == Flag.LAST
    await double.beat_where(lambda beat: beat.state is WorkerState.STOPPED)
    await double.stop()


async def test_a_dead_engine_ends_the_process_with_1(platform: Platform) -> None:
    double = Double(platform.nats)
    process, worker = await started(platform, double)
    answer = await double.run(worker, envelope(), chat(user="fatal"))
    await until(lambda: process.poll() is not None)
    assert process.returncode == 1
    assert answer.last.meta.code == "worker_lost"
    await double.stop()


async def test_a_crash_leaves_the_stream_without_an_end(platform: Platform) -> None:
    double = Double(platform.nats)
    process, worker = await started(platform, double)
    env = envelope()
    await double.hand_over(worker, env, chat(stream=True, max_tokens=9, user="die-after-3"))
    await until(lambda: process.poll() is not None)
    answer = await double.frames(env.request_id, 4)
    assert process.returncode == CRASH_STATUS
    assert not answer.ended
    assert answer.body.count(b'"delta":{"content"') == 3
    await double.stop()


def test_children_of_a_killed_worker_die_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    environment = {
        "PATH": os.environ["PATH"],
        "INFERENCE_ENGINE": "libs.testkit.engine_with_child:build",
        "INFERENCE_MODEL": str(pid_file),
        "INFERENCE_NATS__PORT": "1",
    }
    worker = subprocess.Popen([sys.executable, "-m", "services.inference"], env=environment)
    try:
        wait_for(lambda: pid_file.exists() and bool(pid_file.read_text()))
        child = int(pid_file.read_text())
    finally:
        worker.kill()
        worker.wait()
    wait_for(lambda: not alive(child))


PARENT = """
import subprocess, sys, time
from libs.testkit.processes import die_with_parent
print(subprocess.Popen([sys.executable, "-m", "services.inference"], preexec_fn=die_with_parent).pid, flush=True)
time.sleep(600)
"""


async def test_a_worker_that_replaced_itself_still_dies_with_its_parent(nats: NatsServer, tmp_path: Path) -> None:
    double, pool = Double(nats), clock.new_instance_id("p")
    await double.start()
    with BlobStore() as store:
        old, new = (store.publish(make_weights(tmp_path / text, text), "helpdesk") for text in ("old", "new"))
        registry = RegistryDouble(nats, store, pool)
        await registry.start()
        registry.deploy(old)
        environment = {
            "PATH": os.environ["PATH"],
            "INFERENCE_ENGINE": FAKE_ENGINE,
            "INFERENCE_POOL": pool,
            "INFERENCE_CACHE_DIR": str(tmp_path / "cache"),
            **nats.environment("INFERENCE_NATS__", "inference"),
        }
        parent = python(PARENT, environment)
        try:
            assert parent.stdout is not None
            pid = int(await asyncio.to_thread(parent.stdout.readline))
            first = await double.beat_where(lambda beat: beat.pool == pool and beat.revision == 1, timeout_s=30)
            revision = registry.deploy(new)
            registry.reload(first.worker)
            await double.beat_where(lambda beat: beat.pool == pool and beat.revision == revision, timeout_s=30)
            assert alive(pid)
        finally:
            parent.kill()
            await asyncio.to_thread(parent.wait)
        await until(lambda: not alive(pid))
        await registry.stop()
    await double.stop()


def python(program: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, preexec_fn=die_with_parent
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: object, timeout_s: float = 30.0) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not hold in time"
        time.sleep(0.02)
