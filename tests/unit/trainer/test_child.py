"""The process that works for a trainer: last in line, without our environment, and gone with all that it started."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from libs.contracts.training import Recipe
from libs.testkit.wait import until
from services.trainer.running import child as module
from services.trainer.running.child import Child, DeadError
from services.trainer.work.order import Done, Report, Said, Train

PROGRAM = """
import json, os, subprocess, sys, time
order = json.loads(sys.stdin.readline())
print(json.dumps({"type": "said", "text": f"{os.nice(0)} {os.sched_getscheduler(0)} {sorted(os.environ)}"}))
sys.stdout.write("not json\\n{broken\\n" + "x" * 3_000_000 + "\\n")
sys.stdout.flush()
exec(order["rows"])
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that runs the Python in its order."""
    (tmp_path / "made_up_worker.py").write_text(PROGRAM)
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    monkeypatch.setenv("OUR_SECRET", "s")
    return "made_up_worker"


def _child(worker: str, program: str, directory: Path) -> Child:
    order = Train(recipe=Recipe(), base="", rows=program, shape="sft", directory=str(directory))
    return Child(module=worker, order=order, threads=2, environment={"MORE": "1"})


async def _reports(child: Child) -> list[Report]:
    async with aclosing(child.reports()) as reports:
        return [report async for report in reports]


async def test_like_everybody_it_takes_its_turn_where_it_is_told_to(worker: str, tmp_path: Path) -> None:
    child = _child(worker, """print('{"type": "done", "metrics": {}}', flush=True)""", tmp_path)
    child.priority = "normal"
    first = (await _reports(child))[0]
    assert isinstance(first, Said)
    assert first.text.split()[:2] == [str(os.nice(0)), str(os.sched_getscheduler(0))]


async def test_it_is_last_in_line_and_knows_nothing_of_ours(worker: str, tmp_path: Path) -> None:
    program = """print('{"type": "done", "metrics": {"loss": 1.5}}', flush=True)"""
    reports = await _reports(_child(worker, program, tmp_path))
    texts = [report.text for report in reports if isinstance(report, Said)]
    nice, scheduler, environment = texts[0].split(" ", 2)
    assert (nice, scheduler) == ("19", str(os.SCHED_IDLE))
    assert "OUR_SECRET" not in environment
    assert "OMP_NUM_THREADS" in environment
    assert "MORE" in environment
    assert texts[1:3] == ["not json", "{broken"]
    assert reports[-1] == Done(metrics={"loss": 1.5})


@pytest.mark.parametrize(("program", "killed"), [("os.kill(os.getpid(), 9)", True), ("sys.exit(7)", False)])
async def test_an_end_without_a_word_is_told_apart(program: str, killed: bool, worker: str, tmp_path: Path) -> None:
    with pytest.raises(DeadError) as caught:
        await _reports(_child(worker, program, tmp_path))
    assert caught.value.is_killed is killed


async def test_whoever_stops_listening_ends_it_and_all_that_it_has_started(worker: str, tmp_path: Path) -> None:
    sleeper = "import time; time.sleep(600)"
    program = f"""
subprocess.Popen([sys.executable, "-c", {sleeper!r}])
print(json.dumps({{"type": "said", "text": f"group {{os.getpgid(0)}}"}}), flush=True)
time.sleep(600)
"""
    async with aclosing(_child(worker, program, tmp_path).reports()) as reports:
        texts = [report.text async for report in _until(reports, "group")]
        group = int(texts[-1].split()[1])
        assert len(_members(group)) == 2
    await until(lambda: not _members(group), what="the end of the group")


async def test_what_outlives_it_does_not_keep_its_end_from_being_seen(worker: str, tmp_path: Path) -> None:
    sleeper = "import time; time.sleep(600)"
    program = f"""
subprocess.Popen([sys.executable, "-c", {sleeper!r}])
sys.exit(3)
"""
    async with asyncio.timeout(60):
        with pytest.raises(DeadError):
            await _reports(_child(worker, program, tmp_path))


async def test_it_does_not_outlive_a_trainer_that_is_killed(worker: str, tmp_path: Path) -> None:
    program = "print(os.getpid(), flush=True); time.sleep(600)"
    script = f"""
import asyncio
from pathlib import Path
from services.trainer.running import child as module
from services.trainer.running.child import Child
from services.trainer.work.order import Train, Said
from libs.contracts.training import Recipe
module.CHECKOUT = Path({str(tmp_path)!r})
order = Train(recipe=Recipe(), base="", rows={program!r}, shape="sft", directory="/tmp")
async def run():
    async for report in Child(module={worker!r}, order=order).reports():
        if isinstance(report, Said) and report.text.isdigit():
            print(report.text, flush=True)
asyncio.run(run())
"""
    trainer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert trainer.stdout is not None
    while not (line := await trainer.stdout.readline()).strip().isdigit():
        assert line
    child = int(line)
    trainer.send_signal(signal.SIGKILL)
    await trainer.wait()
    await until(lambda: not psutil.pid_exists(child), timeout_s=30, what="the child's end")


async def _until(reports: AsyncGenerator[Report, None], beginning: str) -> AsyncGenerator[Said, None]:
    async for report in reports:
        if isinstance(report, Said):
            yield report
            if report.text.startswith(beginning):
                return


def _members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found
