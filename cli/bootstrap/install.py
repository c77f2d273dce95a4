"""Makes `.venv` and installs locks into it with uv, byte-compiled."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.bootstrap import locks, pip_settings
from cli.bootstrap.locks import VENV, BootstrapError

_PYTHON: Final = VENV / "bin" / "python"
_UV: Final = VENV / "bin" / "uv"


def say(text: str) -> None:
    """One line of progress; on standard error, so that a command's own output stays clean."""
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()


def ensure_venv(environment: Mapping[str, str]) -> dict[str, str]:
    """Make the environment and uv in it, where they are missing; returns the variables to run uv with.

    Raises:
        BootstrapError: Python cannot make environments, or uv cannot be installed.
    """
    if not _PYTHON.exists():
        say(f"making .venv with Python {sys.version.split()[0]}")
        made = subprocess.run((sys.executable, "-m", "venv", str(VENV)), check=False, capture_output=True, text=True)
        if made.returncode != 0:
            raise BootstrapError(
                f"Python could not make an environment:\n{made.stdout}{made.stderr}\n"
                "Where Python comes in several packages, the one with venv is missing (python3.11-venv)."
            )
    if not _UV.exists():
        say("installing the installer (uv)")
        command = (str(_PYTHON), "-m", "pip", "install", "--quiet", "-r", str(locks.REQUIREMENTS / "uv.txt"))
        if subprocess.run(command, check=False).returncode != 0:
            raise BootstrapError("pip could not install uv. Is a package registry reachable, and does pip know it?")
    return uv_variables(environment)


def uv_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment to run uv in."""
    variables = dict(environment)
    # It would leave every later start to compile vLLM and torch again, which takes minutes.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    variables |= pip_settings.uv_environment(pip_settings.read(_PYTHON), environment)
    return variables | {"VIRTUAL_ENV": str(VENV)}


def install(name: str, variables: Mapping[str, str]) -> None:
    """Install one lock.

    Raises:
        BootstrapError: uv could not; it has said why.
    """
    lock = locks.lock_file(name)
    if not lock.exists():
        raise BootstrapError(f"There is no lock {lock}. Make it on such a machine: ./llmos lock")
    count = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    say(f"installing {count} packages of requirements/{lock.name}, compiled; the first time this takes minutes")
    command = [str(_UV), "pip", "install", "--compile-bytecode", "--no-deps", "-r", str(lock)]
    chosen = dict(variables) | _torch_backend(name, lock, variables)
    if subprocess.run(command, check=False, env=chosen).returncode != 0:
        raise BootstrapError(
            f"The packages of requirements/{lock.name} could not be installed; the reason is above.\n"
            f"If torch is not found: name PyTorch's CPU wheel index in {pip_settings.TORCH_INDEX} and try again."
        )
    locks.mark_installed(name)


def _torch_backend(name: str, lock: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Let uv use PyTorch's own index where the machine's registries lack the CPU build of torch."""
    if name != "cpu" or "UV_TORCH_BACKEND" in variables:
        return {}
    torch = next(
        line.split(" ")[0] for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")
    )
    command = (str(_UV), "pip", "install", "--quiet", "--dry-run", "--reinstall", "--no-deps", torch)
    if subprocess.run(command, check=False, env=variables, capture_output=True).returncode == 0:
        return {}
    say(f"the registry has no {torch}; asking PyTorch's CPU wheel index")
    return {"UV_TORCH_BACKEND": "cpu"}
