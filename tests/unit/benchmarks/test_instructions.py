"""Instructions are counted where the machine does that, and nothing is made up where it does not."""

import os
import subprocess
import sys

import pytest

from benchmarks import instructions
from benchmarks.instructions import Count, can_count, parse

COUNTED = "1234567,,instructions,5003512345,100.00,,\n"
SPINS = "import sys\nsys.stdin.readline()\nsum(range(3_000_000))\nprint(flush=True)\nsys.stdin.read()\n"


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        (COUNTED, 1_234_567),
        ("a warning, about something\n" + COUNTED, 1_234_567),
        (COUNTED.replace("instructions", "instructions:u"), 1_234_567),
        ("100,,cpu_core/instructions/,5,100.00,,\n", None),
        ("<not supported>,,instructions,0,100.00,,\n", None),
        ("<not counted>,,instructions,0,0.00,,\n", None),
        (COUNTED.replace("100.00", "49.80"), None),
        (COUNTED + COUNTED.replace("1234567", "<not counted>"), None),
        ("Error:\nNo permission to enable instructions event.\n", None),
        ("", None),
    ],
)
def test_only_what_was_counted_all_the_time_is_a_number(said: str, counted: int | None) -> None:
    assert parse(said) == counted


def test_without_perf_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not can_count()


def test_what_a_process_does_is_counted_from_the_beginning_to_the_end() -> None:
    if not can_count():
        pytest.skip("this machine does not count instructions")
    with subprocess.Popen([sys.executable, "-c", SPINS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        idle, busy = Count([os.getpid()]), Count([process.pid])
        instructions.settle()
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        counted, ours = busy.end(), idle.end()
        process.stdin.close()
    assert counted is not None
    assert ours is not None
    assert counted > 3_000_000 * 10
    assert ours < counted
