"""What is timed next begins on a quiet machine."""

import itertools
import os
import time
from collections.abc import Iterator

import pytest

from benchmarks import machine
from benchmarks.accounting import SystemCpu, system_cpu


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes by sleeping alone; the pauses so far."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(os, "sync", lambda: None)
    return pauses


def _busy_for(probes: int) -> Iterator[SystemCpu]:
    """Two cores, one of them busy for so many probes."""
    idle_s = 0.0
    for number in itertools.count():
        yield SystemCpu(0.0, total_s=0.5 * number, idle_s=idle_s)
        idle_s += 0.25 if number < probes else 0.5


def test_a_busy_machine_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "system_cpu", _busy_for(3).__next__)
    machine.settle()
    assert slept == [0.25] * 4
    assert capsys.readouterr().err == ""


def test_one_that_stays_busy_is_told_of_and_not_waited_for_any_longer(
    monkeypatch: pytest.MonkeyPatch, slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "system_cpu", _busy_for(1_000).__next__)
    machine.settle()
    assert sum(slept) == pytest.approx(15.0)
    assert "not idle" in capsys.readouterr().err


def test_idle_time_is_part_of_all_time() -> None:
    now = system_cpu()
    assert 0 < now.idle_s < now.total_s
