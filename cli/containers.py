"""Whether this checkout could be run in containers: the engine, docker-compose.yml, .env."""

import difflib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from cli.finding import Finding
from deploy.docker.settings import classes, fields
from deploy.docker.variables import VARIABLES
from deploy.local.home import CHECKOUT

_ENGINE: Final = (26, 0)
"""Mounts a part of a volume, so that each container sees its own secrets only."""
_COMPOSE: Final = (2, 26)
_EXAMPLE: Final = "What there is: .env.example"


def look(file: Path = CHECKOUT / ".env") -> Iterator[Finding]:
    """Everything that `docker compose up` needs of this machine and of `file`; without an engine only the settings."""
    yield from settings(file)
    engine = _version("docker", "version", "--format", "{{.Server.Version}}")
    if not engine:
        yield Finding(True, "containers: no Docker engine answers; ./llmos up needs none")
        return
    compose = _version("docker", "compose", "version", "--short")
    yield _new_enough("Docker engine", engine, _ENGINE)
    yield _new_enough("docker compose", compose, _COMPOSE)
    if _numbers(compose) >= _COMPOSE:
        command = ("docker", "compose", "config", "--quiet")
        refused = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True).stderr.strip()
        yield Finding(not refused, "docker-compose.yml with these settings", refused)


def settings(file: Path) -> Iterator[Finding]:
    """Whether every line of `file` is a setting, and what it says can be one."""
    if not file.exists():
        yield Finding(True, "containers: no .env, every setting is at its default")
        return
    try:
        given = _lines(file)
    except (OSError, UnicodeDecodeError) as error:
        yield Finding(False, f"{file} cannot be read: {error}", "Make it readable, or take it away.")
        return
    services = classes()
    known = {each.name for each in VARIABLES} | {name for each in services.values() for name, _, _ in fields(each)}
    for name in sorted(given - known):
        near = difflib.get_close_matches(name, known, n=1)
        yield Finding(False, f"{file.name}: {name} is no setting", f"Did you mean {near[0]}?" if near else _EXAMPLE)
    wrong = [line for name, each in services.items() for line in _wrong(name, each, file)]
    for line in wrong:
        yield Finding(False, f"{file.name}: {line}", _EXAMPLE)
    if given <= known and not wrong:
        yield Finding(True, f"{file.name}: {len(given)} settings")


def _lines(file: Path) -> set[str]:
    """The names that are set in a file of `NAME=VALUE` lines."""
    lines = (line.strip().removeprefix("export ") for line in file.read_text(encoding="utf-8").splitlines())
    return {line.partition("=")[0].strip() for line in lines if line and not line.startswith("#")}


def _wrong(service: str, kind: type[BaseSettings], file: Path) -> list[str]:
    """What one service would refuse; not what is missing, for docker-compose.yml adds that."""
    try:
        kind(_env_file=file)
    except SettingsError as error:
        return [f"{service}: {error}"]
    except ValidationError as error:
        return [
            f"{service}_{'__'.join(map(str, each['loc']))}".upper() + f": {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
            if each["type"] not in ("missing", "extra_forbidden")
        ]
    return []


def _version(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _new_enough(what: str, version: str, wanted: tuple[int, int]) -> Finding:
    """No fault of the machine if not: ./llmos up works without containers."""
    remedy = "" if _numbers(version) >= wanted else f"For containers at least {'.'.join(map(str, wanted))} is needed."
    return Finding(True, f"{what}: {version or 'not there'}", remedy)


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version; empty if it has none."""
    parts = version.lstrip("v").replace("-", ".").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
