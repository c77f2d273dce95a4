"""CPU time is found wherever it was spent: in children, in ended children, in other sessions."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import accounting
from benchmarks.accounting import ProcessStat, Role

BURN = "import time\nwhile time.process_time() < {}: pass\n"


@contextmanager
def program(source: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program in a session of its own that says `ready` and then waits for its input to close."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{source}\nprint('ready', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate()


def cpu_s(pid: int) -> float:
    return accounting.cpu_by_role(accounting.scan(), [Role("part", pid)])["part"]


def test_a_title_with_spaces_and_brackets_does_not_shift_the_fields() -> None:
    line = "77 (a (odd) name) S 5 6 70 0 -1 4194304 1 0 0 0 100 20 30 4 20 0 1 0 9 0 0"
    stat = accounting.parse_stat(line)
    ticks = 100 + 20 + 30 + 4
    assert stat == ProcessStat(77, 5, 70, "a (odd) name", ticks / accounting.TICKS_PER_S)


def test_a_tree_has_the_session_and_all_descendants() -> None:
    stats = [
        ProcessStat(1, 0, 1, "init", 0),
        ProcessStat(10, 1, 10, "leader", 0),
        ProcessStat(11, 10, 10, "child", 0),
        ProcessStat(12, 11, 12, "grandchild in a session of its own", 0),
        ProcessStat(13, 1, 10, "adopted by init, still in the session", 0),
        ProcessStat(20, 1, 20, "stranger", 0),
    ]
    found = accounting.tree({stat.pid: stat for stat in stats}, 10)
    assert [stat.pid for stat in found] == [10, 11, 12, 13]


def test_engine_processes_of_vllm_are_a_role_of_their_own() -> None:
    stats = [ProcessStat(10, 1, 10, "python", 3.0), ProcessStat(11, 10, 10, "VLLM::EngineCor", 8.0)]
    used = accounting.cpu_by_role({stat.pid: stat for stat in stats}, [Role("worker", 10)])
    assert used == {"worker": 3.0, "engine": 8.0}


def test_a_real_process_is_charged_what_it_burns() -> None:
    with program(BURN.format(0.3)) as process:
        assert cpu_s(process.pid) == pytest.approx(0.3, abs=0.06)


def test_the_time_of_an_ended_child_is_not_lost() -> None:
    source = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(0.3)!r}])"
    with program(source) as process:
        assert cpu_s(process.pid) >= 0.29


def test_the_time_of_a_child_in_another_session_counts() -> None:
    child = BURN.format(0.2) + "print(flush=True)\ninput()"
    source = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True,"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()"
    )
    with program(source) as process:
        assert cpu_s(process.pid) >= 0.19


def test_differences_are_by_role_and_never_negative() -> None:
    assert accounting.cpu_between({"a": 1.0, "b": 5.0}, {"a": 1.5, "b": 4.0, "c": 2.0}) == {
        "a": 0.5,
        "b": 0.0,
        "c": 2.0,
    }


def test_memory_of_a_real_process_is_seen() -> None:
    with program("block = bytearray(64 << 20)") as process:
        assert accounting.pss_mib(accounting.scan(), [Role("part", process.pid)])["part"] > 64


def test_steal_is_a_share_of_all_time() -> None:
    before, after = accounting.SystemCpu(1.0, 100.0), accounting.SystemCpu(2.0, 110.0)
    assert accounting.steal_percent(before, after) == pytest.approx(10.0)
    assert accounting.steal_percent(before, before) == 0.0
    assert accounting.system_cpu().total_s > 0
