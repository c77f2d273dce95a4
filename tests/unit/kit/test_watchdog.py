"""A process whose loop hangs ends, and says where; one that was stopped as a whole does not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from libs.kit import clock
from libs.kit.settings import ServiceSettings
from libs.kit.watchdog import HUNG, THREAD, Watchdog, watched, watched_from
from libs.testkit.processes import die_with_parent
from libs.testkit.service_process import ROOT
from libs.testkit.wait import until

HANGING = Path(__file__).with_name("hanging.py")
LIMIT_S = 1.0
PATIENCE_S = 120.0


def _start(way: str, stderr: "int | IO[bytes]", **more: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(HANGING), way],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LLMOS_HANG_LIMIT_S": str(LIMIT_S), **more},
        stderr=stderr,
        preexec_fn=die_with_parent,
    )


def _ended(way: str, directory: Path) -> tuple[int, dict[str, Any]]:
    """Exit status and last words of a process that hangs."""
    with (directory / "log").open("w+b") as log:
        status = _start(way, log).wait(PATIENCE_S)
        log.seek(0)
        return status, json.loads(log.readlines()[-1])


@pytest.mark.parametrize("way", ["sleep", "spin"])
def test_a_process_whose_loop_hangs_ends_and_says_where(way: str, tmp_path: Path) -> None:
    status, said = _ended(way, tmp_path)
    assert status == HUNG
    assert (said["level"], said["service"], said["status"], said["limit_s"]) == ("critical", "sample", HUNG, LIMIT_S)
    where, function = said["stack"][0].split()
    assert (Path(where.split(":")[0]), function) == (HANGING, f"{way}_in_the_loop")
    assert THREAD in {each["thread"] for each in said["others"]}


@pytest.mark.slow
def test_it_ends_even_where_the_log_is_what_hangs() -> None:
    process = _start("write", subprocess.PIPE)
    assert process.wait(PATIENCE_S) == HUNG


async def test_a_process_that_was_stopped_as_a_whole_goes_on(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    process = _start("beside", subprocess.DEVNULL, SAMPLE_ALIVE_FILE=str(alive))
    await until(alive.exists, timeout_s=PATIENCE_S, what="the start")
    process.send_signal(signal.SIGSTOP)
    resume_s = clock.monotonic_s() + 1.5 * LIMIT_S
    await until(lambda: clock.monotonic_s() > resume_s, timeout_s=PATIENCE_S)
    stopped_s = alive.stat().st_mtime
    process.send_signal(signal.SIGCONT)
    # Twice as long as it might have hung.
    goes_on = stopped_s + 1.5 * LIMIT_S + 2 * LIMIT_S
    await until(lambda: alive.stat().st_mtime > goes_on or process.poll() is not None, timeout_s=PATIENCE_S)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0


class Scripted:
    """A loop and a clock: `turns` says of each wait whether the loop turns during it."""

    def __init__(self, turns: str) -> None:
        self.turns = list(turns)
        self.asked: list[Callable[[], object]] = []
        self.waited_s: list[float] = []
        self.ended = False

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        self.asked.append(callback)

    def wait(self, seconds: float) -> bool:
        self.waited_s.append(seconds)
        if not self.turns:
            return True
        if self.turns.pop(0) == "t":
            for callback in self.asked:
                callback()
            self.asked.clear()
        return False

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("turns", "ends"),
    [
        ("-" * 20, True),
        ("t" * 50 + "-" * 20, True),
        ("-" * 19, False),
        ("-" * 19 + "t" + "-" * 19 + "t", False),
        ("t" * 100, False),
    ],
)
def test_twenty_waits_in_vain_in_a_row_are_a_hang(turns: str, ends: bool) -> None:
    script = Scripted(turns)
    Watchdog(script, 60.0, script.wait, script.end).watch()
    assert script.ended == ends
    assert set(script.waited_s) == {3.0}
    assert len(script.waited_s) == len(turns) + (not ends)
    assert len(script.asked) <= 1, "a loop that hangs is not asked again and again"


async def test_only_a_block_with_a_limit_has_a_watchdog_and_only_while_it_lasts() -> None:
    def dogs() -> int:
        return sum(thread.name == THREAD for thread in threading.enumerate())

    with watched(0):
        assert not dogs()
    started = asyncio.Event()
    async with watched_from(started, LIMIT_S):
        await asyncio.sleep(0)
        assert not dogs(), "what is loaded before the start may take long"
        started.set()
        await until(lambda: dogs() == 1)
    await until(lambda: not dogs())


def test_a_loop_that_is_closed_is_watched_no_longer() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    script = Scripted("-" * 20)
    Watchdog(loop, 60.0, script.wait, script.end).watch()
    assert (script.waited_s, script.ended) == ([], False)


def test_one_setting_is_every_services_and_each_may_have_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOS_HANG_LIMIT_S", "7")
    assert ServiceSettings().watchdog.hang_limit_s == 7
