"""`./llmos test`."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import ui
from cli.second_look import worth_a_second_look
from cli.suites import STANDARD, SUITES, Suite
from deploy.local.home import CHECKOUT

CONTEXT: Final = {"ignore_unknown_options": True}
_PROGRAMS: Final = Path(sys.executable).parent
_CHECKS: Final = (
    ("ruff", ("ruff", "check", "--quiet", ".")),
    ("formatting", ("ruff", "format", "--check", "--quiet", ".")),
    ("types", ("mypy",)),
    ("import rules", ("lint-imports",)),
)
_TESTS_FAILED: Final = 1
_NOT_RUN: Final = 4
_NO_TESTS_COLLECTED: Final = 5
_SUITES: Final = "; ".join(f"{name}: {suite.sentence}" for name, suite in SUITES.items())


def run(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[SUITE] [PYTEST ARGUMENT]...", help=_SUITES)] = None,
) -> None:
    """Run a suite by name, or pytest alone with any arguments."""
    arguments = list(arguments or [])
    if arguments and arguments[0] in SUITES:
        suite = SUITES[arguments.pop(0)]
    else:
        suite = SUITES[STANDARD] if not arguments else Suite("what was asked for")
    if suite.needs and not _answers(suite.needs):
        ui.fail(f"Not run: {suite.needs} does not answer here.", f"Try: {suite.needs} info")
        raise typer.Exit(_NOT_RUN)
    failed = _check() if suite.with_checks else []
    code = _tests(suite, arguments) if suite.with_tests else 0
    if failed:
        ui.fail(f"Failed checks: {', '.join(failed)}.", "Their findings are above the tests' output.")
    raise typer.Exit(code or (1 if failed else 0))


def _answers(program: str) -> bool:
    """Whether the server behind a program is there."""
    try:
        return subprocess.run((program, "info"), check=False, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _check() -> list[str]:
    """Run the static checks; show the output of those that find something; returns their names."""
    failed = []
    for name, (program, *arguments) in _CHECKS:
        with ui.out.status(name, spinner="dots"):
            result = subprocess.run(
                (str(_PROGRAMS / program), *arguments), cwd=CHECKOUT, check=False, capture_output=True, text=True
            )
        ui.say(f"{ui.BAD if result.returncode else ui.WELL} {name}")
        if result.returncode:
            failed.append(name)
            sys.stdout.write(result.stdout + result.stderr)
            sys.stdout.flush()
    return failed


def _tests(suite: Suite, arguments: list[str]) -> int:
    """Run the suite; the standard one as a whole gives tests with real servers a second look."""
    if suite is not SUITES[STANDARD] or arguments:
        return _pytest([*suite.pytest_arguments, *arguments])
    with tempfile.TemporaryDirectory(prefix="llmos-test-") as cache:
        code = _pytest([*suite.pytest_arguments, "-o", f"cache_dir={cache}"])
        again = worth_a_second_look(Path(cache)) if code == _TESTS_FAILED else ()
        if not again:
            return code
        ui.say(f"\nRun once more, alone: {', '.join(again)}")
        code = _pytest(list(again))
    if code == 0:
        ui.fail("Unsteady: failed, then passed alone. Mend them as you would a bug:", "\n  ".join(again))
    return code


def _pytest(arguments: list[str]) -> int:
    """Run pytest with its output untouched, so that its summary is the last thing said."""
    code = subprocess.run((sys.executable, "-m", "pytest", *arguments), cwd=CHECKOUT, check=False).returncode
    if code == _NO_TESTS_COLLECTED:
        ui.fail("No test was found.", f"Suites: {', '.join(SUITES)}")
    return code
