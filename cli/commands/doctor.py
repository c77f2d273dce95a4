"""`./llmos doctor`."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil
import typer
from rich.table import Table

from cli import containers, served, settings, ui
from cli.bootstrap import locks
from cli.feedback.rest import RestFeedback
from cli.finding import Finding
from deploy.local import lock, ports, processes
from deploy.local.client import Stack
from deploy.local.errors import StackError
from deploy.local.options import STARTER, usable_cpus
from deploy.local.parts.postgres import program
from deploy.local.state import StackState
from libs.contracts.feedback import ListDeadLetters
from libs.kit import interpreter
from libs.kit.errors import ServiceError

_GIB: Final = 1 << 30
_DISK_BYTES: Final = 4 * _GIB
_MEMORY_BYTES: Final = 4 * _GIB
_PRIVATE_BITS: Final = 0o077
_FASTER: Final = (
    "One of a distribution answers about an eighth more on the same cores: remove .venv and name it once,"
    " LLMOS_PYTHON=/usr/bin/python3.11 ./llmos"
)


def run() -> None:
    """Look at everything that has to be right; status 1 when something is not."""
    stack = settings.stack()
    checks: tuple[Callable[[Stack], Iterator[Finding]], ...] = (_machine, _environment, _programs, _home, _processes)
    findings = [*(finding for check in checks for finding in check(stack)), *containers.look()]
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row("", ui.WELL if finding.well else ui.BAD, finding.what, f"[dim]{finding.remedy}[/dim]")
    ui.out.print(table)
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


def _machine(stack: Stack) -> Iterator[Finding]:
    yield Finding(
        sys.platform == "linux",
        f"operating system: {sys.platform}",
        "" if sys.platform == "linux" else "Linux is needed.",
    )
    yield Finding(True, f"processor cores: {usable_cpus()}")
    memory = psutil.virtual_memory().available
    yield _enough("memory free", memory, _MEMORY_BYTES, "The engine needs about 3 GiB beside the model.")
    place = next(path for path in (stack.home.root, *stack.home.root.parents) if path.exists())
    disk = shutil.disk_usage(place).free
    yield _enough(f"disk free at {place}", disk, _DISK_BYTES, "Streams stop taking messages when it is full.")


def _environment(_: Stack) -> Iterator[Finding]:
    fast = interpreter.is_optimised()
    yield Finding(True, f"Python {interpreter.described()}", "" if fast else _FASTER)
    runtime = locks.runtime_for(settings.environment())
    for name in (runtime, locks.DEV):
        well = locks.is_installed(name) or name == locks.DEV
        said = "is installed" if locks.is_installed(name) else "is not installed"
        yield Finding(well, f"requirements/{name}.txt {said}", "" if well else "Any ./llmos command installs it.")
    there = (STARTER / "config.json").exists()
    yield Finding(there, "the starter model", "" if there else "Name another model: ./llmos up --model DIRECTORY")


def _programs(_: Stack) -> Iterator[Finding]:
    beside = Path(sys.executable).parent
    commands = {
        "NATS": (str(beside / "nats-server"), "--version"),
        "SeaweedFS": (str(beside / "weed"), "version"),
        "PostgreSQL": (_postgres(), "--version"),
    }
    for name, command in commands.items():
        try:
            answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
            yield Finding(True, f"{name}: {answer.splitlines()[0]}")
        except (OSError, subprocess.SubprocessError) as error:
            yield Finding(False, f"{name} does not run: {error}", "Remove .venv and run ./llmos once more.")


def _home(stack: Stack) -> Iterator[Finding]:
    root = stack.home.root
    if not root.exists():
        yield Finding(True, f"state: none yet at {root}")
        return
    loose = [path.name for path in stack.home.secrets.glob("*") if path.stat().st_mode & _PRIVATE_BITS]
    yield Finding(
        not loose, f"secrets in {stack.home.secrets} are private", f"chmod 600: {', '.join(loose)}" if loose else ""
    )
    taken = (
        []
        if stack.is_running
        else [f"{n} {p}" for n, p in ports.remembered(stack.home).items() if not ports.is_free(p)]
    )
    yield Finding(
        True,
        "ports of the last start are free"
        if not taken
        else f"taken meanwhile, others will be chosen: {', '.join(taken)}",
    )


def _processes(stack: Stack) -> Iterator[Finding]:
    if lock.is_held(stack.home):
        state = stack.state()
        phase = state.phase if state is not None else "starting"
        well = phase in ("ready", "starting")
        yield Finding(well, f"the stack is {phase}", "" if well else "See: ./llmos status, ./llmos logs")
        if phase == "ready" and state is not None and state.from_registry:
            yield _registry(stack, state)
        if phase == "ready" and state is not None:
            yield asyncio.run(_feedback(stack, state))
        return
    left = processes.strays(stack.home) if stack.home.root.exists() else []
    yield Finding(
        not left, f"processes of an earlier stack: {left or 'none'}", "./llmos down ends them." if left else ""
    )


def _registry(stack: Stack, state: StackState) -> Finding:
    version = served.fill(stack, state).model_version
    if version:
        return Finding(True, f"the registry has the workers serve {version}")
    return Finding(False, "the registry does not say what the workers serve", "See: ./llmos logs registry")


async def _feedback(stack: Stack, state: StackState) -> Finding:
    try:
        async with RestFeedback(state.base_url, stack.admin_key()) as feedback:
            letters = (await feedback.call("dead_letter_list", ListDeadLetters())).letters
    except ServiceError as error:
        return Finding(False, f"feedback does not answer: {error.message}", "See: ./llmos logs feedback")
    refused = f"; {len(letters)} messages could not be taken in" if letters else ""
    return Finding(True, f"feedback answers{refused}", "See: ./llmos feedback dead" if letters else "")


def _enough(what: str, have: int, want: int, remedy: str) -> Finding:
    well = have >= want
    return Finding(well, f"{what}: {have / _GIB:.1f} GiB", "" if well else remedy)


def _postgres() -> str:
    try:
        return str(program("postgres"))
    except StackError:
        return "postgres"
