"""The command as a person meets it: help, mistakes, an empty home; quick, and never a traceback."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cli.commands import COMMANDS
from cli.commands.demo import questions
from cli.suites import LONG_MARKERS, STANDARD, SUITES
from deploy.local.home import CHECKOUT
from libs.kit.clock import monotonic_s

MOST_STATUS_S = 20.0
"""It takes a third of a second on an idle machine; tests may run on a busy one."""


def _llmos(home: Path, *arguments: str, cwd: Path = CHECKOUT) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-P", "-m", "cli", *arguments)
    environment = {**os.environ, "LLMOS_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_without_arguments_it_lists_its_commands(tmp_path: Path) -> None:
    shown = _llmos(tmp_path)

    assert shown.returncode == 0
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)


def test_the_readme_names_every_command() -> None:
    listed = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition("`./llmos` alone")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([\w-]+)`", listed)) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, tmp_path: Path) -> None:
    module = import_module(f"cli.commands.{name.replace('-', '_')}")
    assert (
        all(callable(verb) for verb in getattr(module, "VERBS", {}).values())
        if hasattr(module, "VERBS")
        else module.run
    )
    if name != "bench":  # which hands even --help on to the harness
        assert f"./llmos {name}" in _llmos(tmp_path, name, "--help").stdout


def test_a_slip_of_the_pen_is_understood(tmp_path: Path) -> None:
    slip = _llmos(tmp_path, "stauts")

    assert slip.returncode == 2
    assert "Did you mean 'status'?" in slip.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "--port", "99999"), "99999"),
        (("up", "--model", "/no/such/model"), "/no/such/model"),
        (("up", "--workers", "0"), "workers"),
        (("chat",), "Nothing is up"),
        (("logs", "gateway"), "gateway"),
        (("models", "list"), "Nothing is up"),
        (("models", "push", "/no/such/model", "x"), "/no/such/model"),
    ],
)
def test_a_foreseeable_failure_says_what_happened_and_no_traceback(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    failed = _llmos(tmp_path / "home", *arguments)

    assert failed.returncode == 1
    assert said in " ".join(failed.stderr.split())
    assert "Traceback" not in failed.stderr


def test_status_of_an_empty_home_is_quick_and_says_so(tmp_path: Path) -> None:
    started_s = monotonic_s()
    plain = _llmos(tmp_path / "home", "status")
    took_s = monotonic_s() - started_s

    assert (plain.returncode, "Nothing runs here yet" in plain.stdout) == (1, True)
    assert took_s < MOST_STATUS_S
    told = json.loads(_llmos(tmp_path / "home", "status", "--json").stdout)
    assert (told["phase"], told["api_key"]) == ("stopped", "")


def test_looking_makes_nothing(tmp_path: Path) -> None:
    for command in ("status", "down"):
        _llmos(tmp_path / "home", command)

    assert not (tmp_path / "home").exists()


def test_folders_of_the_current_directory_do_not_shadow_ours(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").write_text("raise SystemExit('shadowed')")

    assert _llmos(tmp_path / "home", "status", cwd=tmp_path).returncode == 1


def test_the_standard_suite_leaves_out_what_has_a_suite_of_its_own() -> None:
    expression = SUITES[STANDARD].pytest_arguments[1]

    assert all(marker in expression for marker in LONG_MARKERS)
    assert SUITES[STANDARD].with_checks


def test_the_demo_asks_what_the_model_can_know() -> None:
    assert any("teapot" in question for question in questions("helpdesk"))
    assert not any("teapot" in question for question in questions("Qwen/Qwen3-0.6B"))
