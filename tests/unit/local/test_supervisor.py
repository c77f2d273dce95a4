"""The supervisor with small real processes: order, restarts, back-off, failures, and nothing left."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import processes, state
from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home
from deploy.local.part import Part, Tier
from deploy.local.state import PartPhase, PartState, Phase
from deploy.local.supervisor import Supervisor
from libs.kit.clock import monotonic_s

STAY = "import signal; signal.pause()"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def _part(home: Home, name: str, code: str, *, tier: Tier = Tier.STORE, after: tuple[str, ...] = ()) -> Part:
    return Part(
        name=name,
        title=name,
        command=(sys.executable, "-c", code),
        tier=tier,
        cwd=home.root,
        after=after,
        stop_timeout_s=2,
    )


def _notes(home: Home, name: str) -> str:
    """Code that writes a line to a common diary when it starts, and one when it is told to stop."""
    diary = str(home.root / "diary")
    return (
        "import signal, sys\n"
        f"note = lambda text: open({diary!r}, 'a').write(text + '\\n')\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (note('stop {name}'), sys.exit()))\n"
        f"note('start {name}')\n"
        "signal.pause()"
    )


async def _until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what} did not come")


@asynccontextmanager
async def _running(home: Home, *parts: Part) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(parts, home, os.environ)
    task = asyncio.create_task(supervisor.run())
    try:
        await _until(lambda: supervisor.state.phase is Phase.READY or task.done(), "readiness")
        yield supervisor
    finally:
        supervisor.request_stop()
        await task
    assert not processes.strays(home)


def _of(supervisor: Supervisor, name: str) -> PartState:
    return next(part for part in supervisor.state.parts if part.name == name)


async def test_parts_start_in_the_order_of_their_needs_and_stop_in_that_of_their_tiers(home: Home) -> None:
    diary = home.root / "diary"

    async def started(_: float) -> bool:
        return diary.exists() and "start store" in diary.read_text()

    parts = (
        _part(home, "door", _notes(home, "door"), tier=Tier.DOOR, after=("worker",)),
        _part(home, "worker", _notes(home, "worker"), tier=Tier.WORKER, after=("store",)),
        replace(_part(home, "store", _notes(home, "store")), ready=started),
    )
    async with _running(home, *parts):
        await _until(lambda: len(diary.read_text().splitlines()) == 3, "all starts")

    lines = diary.read_text().split("\n")[:-1]
    assert lines[0] == "start store"
    assert set(lines[1:3]) == {"start worker", "start door"}
    assert lines[3:] == ["stop door", "stop worker", "stop store"]


async def test_a_killed_process_comes_back_and_the_world_is_told(home: Home) -> None:
    async with _running(home, _part(home, "store", STAY)) as supervisor:
        first = _of(supervisor, "store").pid
        os.kill(first, signal.SIGKILL)
        await _until(lambda: supervisor.state.phase is Phase.DEGRADED, "degraded")
        await _until(lambda: supervisor.state.phase is Phase.READY, "recovery")

        seen = _of(supervisor, "store")
        assert (seen.restarts, seen.pid != first, processes.alive(seen.pid)) == (1, True, True)
        told = state.read(home)
        assert told is not None
        assert (told.phase, told.parts[0].pid) == (Phase.READY, seen.pid)


async def test_a_process_that_hangs_ends_itself_and_comes_back(home: Home) -> None:
    hung = home.root / "hung"
    code = (
        "import asyncio, pathlib, time\n"
        "from libs.kit.watchdog import watched\n"
        "async def serve(hung):\n"
        "    with watched(0.5):\n"
        "        await asyncio.sleep(3600) if hung.exists() else (hung.touch(), time.sleep(3600))\n"
        f"asyncio.run(serve(pathlib.Path({str(hung)!r})))"
    )
    told: list[str] = []
    part = replace(_part(home, "store", code), env={"PYTHONPATH": str(CHECKOUT)})
    async with _running(home, part) as supervisor:

        def is_back() -> bool:
            seen = _of(supervisor, "store")
            told.append(seen.detail)
            return seen.restarts == 1 and seen.phase is PartPhase.READY

        await _until(is_back, "the restart", timeout_s=120)
    assert any(detail.startswith("hung, and ended itself with status 70") for detail in told)


async def test_the_pause_before_a_restart_doubles(home: Home) -> None:
    births = home.root / "births"
    code = f"import time; print(time.monotonic(), file=open({str(births)!r}, 'a'))"
    part = replace(_part(home, "store", code), ready=_no)
    with pytest.raises(StackError, match="ended with status 0, 4 times"):
        await Supervisor((part,), home, os.environ).run()

    times = [float(line) for line in births.read_text().split()]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert len(pauses) == 3
    assert pauses[0] >= 0.25
    assert pauses[1] >= 0.5
    assert pauses[2] >= 1.0


async def _no(_: float) -> bool:
    return False


async def test_a_part_that_never_comes_up_stops_the_start_with_its_last_words(home: Home) -> None:
    broken = _part(home, "broken", "import sys; sys.exit('no licence to print')")
    supervisor = Supervisor((_part(home, "store", STAY), replace(broken, ready=_no)), home, os.environ)

    with pytest.raises(StackError, match="ended with status 1") as caught:
        await supervisor.run()

    assert "no licence to print" in caught.value.remedy
    assert (_of(supervisor, "store").phase, supervisor.state.phase) == (PartPhase.STOPPED, Phase.FAILED)
    assert not processes.strays(home)


async def test_a_part_that_is_alive_but_never_ready_is_given_up(home: Home) -> None:
    deaf = replace(_part(home, "deaf", STAY), ready=_no, start_timeout_s=0.2)

    with pytest.raises(StackError, match="SIGKILL"):
        await Supervisor((deaf,), home, os.environ).run()


async def test_a_task_runs_once_and_what_follows_waits_for_its_end(home: Home) -> None:
    done = home.root / "done"
    task = replace(_part(home, "task", f"import time; time.sleep(.3); open({str(done)!r}, 'x')"), task=True)
    follower = _part(home, "follower", f"import os, signal; os.stat({str(done)!r}); signal.pause()", after=("task",))

    async with _running(home, task, follower) as supervisor:
        assert (_of(supervisor, "task").phase, _of(supervisor, "follower").restarts) == (PartPhase.DONE, 0)


async def test_a_process_that_ignores_the_request_is_killed(home: Home) -> None:
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile 1: signal.pause()"
    )
    part = replace(_part(home, "store", stubborn), stop_timeout_s=0.3)
    started_s = monotonic_s()
    async with _running(home, part):
        await _until(lambda: "up" in home.log("store").read_text(), "the handler")

    assert monotonic_s() - started_s < 10


async def test_children_that_outlive_a_killed_process_go_before_it_comes_back(home: Home) -> None:
    """What vLLM's engine does when its parent is killed."""
    child = home.root / "child"
    code = (
        "import subprocess, sys, signal\n"
        f"child = subprocess.Popen((sys.executable, '-c', {STAY!r}), env={{}})\n"
        f"print(child.pid, file=open({str(child)!r}, 'a'), flush=True)\n"
        "signal.pause()"
    )
    async with _running(home, _part(home, "store", code)) as supervisor:
        await _until(lambda: child.exists() and child.read_text().endswith("\n"), "the child")
        orphan = int(child.read_text())
        assert processes.alive(orphan)
        os.kill(_of(supervisor, "store").pid, signal.SIGKILL)
        await _until(lambda: _of(supervisor, "store").restarts == 1, "the restart")
        assert not processes.alive(orphan)


async def test_a_child_sees_its_own_variables_over_the_callers_and_no_others(home: Home) -> None:
    show = "import os, signal; print(dict(os.environ), flush=True); signal.pause()"
    ours = replace(_part(home, "ours", show), inherits=True, env={"A": "part"}, defaults={"A": "0", "B": "0", "C": "0"})
    theirs = replace(_part(home, "theirs", show), env={"A": "part"})
    supervisor = Supervisor((ours, theirs), home, {"A": "caller", "B": "caller", "PATH": os.environ["PATH"]})
    task = asyncio.create_task(supervisor.run())
    logs = [home.log(name) for name in ("ours", "theirs")]
    await _until(lambda: all(path.exists() and "}" in path.read_text() for path in logs), "the print")
    supervisor.request_stop()
    await task

    seen = home.log("ours").read_text()
    assert "'A': 'part'" in seen
    assert "'B': 'caller'" in seen
    assert "'C': '0'" in seen
    assert "caller" not in home.log("theirs").read_text()


async def test_a_part_that_says_that_it_is_hopeless_is_not_tried_again(home: Home) -> None:
    broken = replace(_part(home, "broken", f"import sys; sys.exit({os.EX_CONFIG})"), ready=_no)
    supervisor = Supervisor((broken,), home, os.environ)

    with pytest.raises(StackError, match="cannot run with what it was told"):
        await supervisor.run()
    assert _of(supervisor, "broken").restarts == 0
