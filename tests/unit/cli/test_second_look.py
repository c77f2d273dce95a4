"""Which failures are looked at twice, and what the command makes of the second look."""

import json
from pathlib import Path

import pytest
import typer

from cli.commands import test as command
from cli.second_look import MOST_FAILURES, worth_a_second_look

KILLS = "tests/integration/bus/test_client.py::test_kill"
ENDS = "tests/e2e/test_demo.py::test_end"
PURE = "tests/unit/kit/test_clock.py::test_now"


def _failed(directory: Path, *names: str) -> Path:
    cache = directory / "v" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(names, True)), encoding="utf-8")
    return directory


@pytest.mark.parametrize(
    ("failed", "again"),
    [
        ((KILLS, ENDS), (ENDS, KILLS)),
        ((), ()),
        ((KILLS, PURE), ()),
        (tuple(f"{KILLS}[{n}]" for n in range(MOST_FAILURES + 1)), ()),
    ],
)
def test_few_failures_with_real_servers_are(tmp_path: Path, failed: tuple[str, ...], again: tuple[str, ...]) -> None:
    assert worth_a_second_look(_failed(tmp_path, *failed)) == again


def test_a_run_that_left_no_cache_gets_none(tmp_path: Path) -> None:
    assert worth_a_second_look(tmp_path) == ()


@pytest.mark.parametrize(("second", "told"), [(0, True), (1, False)])
def test_the_second_look_decides_and_is_told(
    second: int, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs: list[list[str]] = []

    def pytest_once(arguments: list[str]) -> int:
        runs.append(arguments)
        if len(runs) == 1:
            _failed(Path(arguments[-1].removeprefix("cache_dir=")), KILLS)
        return 1 if len(runs) == 1 else second

    monkeypatch.setattr(command, "_pytest", pytest_once)
    monkeypatch.setattr(command, "_check", list)
    with pytest.raises(typer.Exit) as ended:
        command.run(None)
    assert ended.value.exit_code == second
    assert runs[1] == [KILLS]
    shown = capsys.readouterr().err
    assert ("Unsteady" in shown, KILLS in shown) == (told, told)


def test_a_suite_by_name_or_path_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[list[str]] = []

    def pytest_once(arguments: list[str]) -> int:
        runs.append(arguments)
        return 1

    monkeypatch.setattr(command, "_pytest", pytest_once)
    for arguments in (["vllm"], ["tests/unit"]):
        with pytest.raises(typer.Exit) as ended:
            command.run(arguments)
        assert ended.value.exit_code == 1
    assert len(runs) == 2
