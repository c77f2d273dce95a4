"""What is left when a real engine, or its worker, is killed."""

import os
import signal
from pathlib import Path

import pytest

from libs.contracts.frames import Flag
from libs.contracts.inference import WorkerState
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from libs.testkit.worker_double import chat, envelope
from tests.contract.conftest import VllmWorker, start_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def children(parent: int) -> list[int]:
    """Process ids of everything that `parent` started and that has not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def engine_of(worker: VllmWorker) -> int:
    """The engine's own process."""
    named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(worker_pid(worker))}
    return next(pid for pid, line in named.items() if b"EngineCore" in line)


def worker_pid(worker: VllmWorker) -> int:
    return worker.platform.processes["worker-0"].pid


async def test_the_death_of_the_engines_process_ends_the_worker_with_errors_and_status_1(
    private_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with start_vllm(private_nats, tmp_path_factory.mktemp("worker")) as worker:
        process = worker.platform.processes["worker-0"]
        env = envelope()
        await worker.double.hand_over(worker.id, env, chat(max_tokens=900, ignore_eos=True, stream=True))
        answer = await worker.double.frames(env.request_id, 2)
        os.kill(engine_of(worker), signal.SIGKILL)
        await until(lambda: process.poll() is not None, timeout_s=30)
        assert process.returncode == 1
        await until(lambda: answer.ended)
        assert answer.last.flags == Flag.ERROR | Flag.LAST
        assert answer.last.meta.code == "worker_lost"
        await worker.double.beat_where(lambda beat: beat.worker == worker.id and beat.state is WorkerState.STOPPED)


async def test_a_killed_worker_leaves_no_engine_behind(
    private_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with start_vllm(private_nats, tmp_path_factory.mktemp("worker")) as worker:
        family = children(worker_pid(worker))
        assert engine_of(worker) in family
        os.kill(worker_pid(worker), signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in family), timeout_s=10, what="the end of the family")
