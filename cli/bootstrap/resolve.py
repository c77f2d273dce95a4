"""Resolves the dependencies and writes the locks; run by `./llmos lock`."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.bootstrap.install import ensure_venv, say
from cli.bootstrap.locks import REQUIREMENTS, VENV, BootstrapError

_PLATFORM: Final = "x86_64-manylinux_2_28"
_PYTHON_VERSION: Final = "3.11"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """How one lock is resolved.

    Attributes:
        name: of the `.in` file and of the lock.
        overrides: file whose lines replace what packages ask for.
        like: lock whose versions it must share.
        beyond_like: leave out what that lock holds already.
    """

    name: str
    overrides: str = ""
    like: str = ""
    beyond_like: bool = False


LOCKS: Final = (
    Lock(name="cpu", overrides="overrides-cpu.txt"),
    Lock(name="services", like="cpu"),
    Lock(name="base", like="services"),
    Lock(name="dev", overrides="overrides-cpu.txt", like="cpu", beyond_like=True),
    Lock(name="gpu", overrides="overrides-gpu.txt"),
)


def resolve(lock: Lock, variables: Mapping[str, str]) -> int:
    """Write one lock; returns how many packages it holds.

    Raises:
        BootstrapError: there is no solution; uv has said why.
    """
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "lock.txt"
        command = [
            str(VENV / "bin" / "uv"), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate",
            "--no-emit-index-url", "--no-emit-find-links", "--python-version", _PYTHON_VERSION,
            "--python-platform", _PLATFORM, str(REQUIREMENTS / f"{lock.name}.in"), "-o", str(output),
        ]  # fmt: skip
        if lock.overrides:
            command += ["--overrides", str(REQUIREMENTS / lock.overrides)]
        if lock.like:
            command += ["--constraints", str(REQUIREMENTS / f"{lock.like}.txt")]
        if subprocess.run(command, check=False, env=dict(variables)).returncode != 0:
            raise BootstrapError(f"requirements/{lock.name}.in cannot be resolved; the reason is above.")
        blocks = list(_blocks(output.read_text(encoding="utf-8")))
    if lock.beyond_like:
        held = set(_blocks((REQUIREMENTS / f"{lock.like}.txt").read_text(encoding="utf-8")))
        blocks = [block for block in blocks if block not in held]
    (REQUIREMENTS / f"{lock.name}.txt").write_text(_header(lock) + "".join(blocks), encoding="utf-8")
    return len(blocks)


def resolve_all(names: list[str]) -> None:
    """Write the locks called `names`, or all.

    Raises:
        BootstrapError: one of them has no solution, or there is no such lock.
    """
    if unknown := set(names) - {lock.name for lock in LOCKS}:
        raise BootstrapError(
            f"There is no lock {', '.join(unknown)}; there are {', '.join(lock.name for lock in LOCKS)}."
        )
    variables = ensure_venv(os.environ)
    for lock in LOCKS:
        if not names or lock.name in names:
            say(f"requirements/{lock.name}.txt: {resolve(lock, variables)} packages")


def _blocks(text: str) -> Iterator[str]:
    """Each requirement with its hashes.

    A local build (`+cpu`) loses its hashes: it comes from another index on another machine, perhaps from another build.
    """
    for block in re.findall(r"^\S[^\n]*\n(?:[ \t][^\n]*\n)*", text, flags=re.MULTILINE):
        requirement = block.split(" ")[0].strip()
        if not block.startswith("#"):
            yield f"{requirement}\n" if "+" in requirement else block


def _header(lock: Lock) -> str:
    beyond = f", on top of {lock.like}.txt" if lock.beyond_like else ""
    return f"# Written by ./llmos lock from {lock.name}.in{beyond}: Python {_PYTHON_VERSION}, Linux on x86_64.\n"
