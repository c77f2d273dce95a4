"""The lock files: which there are, which this machine needs, and the mark of what has been installed."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIREMENTS: Final = ROOT / "requirements"
VENV: Final = ROOT / ".venv"
MARKS: Final = VENV / "llmos"
RUNTIMES: Final = ("cpu", "gpu")
DEV: Final = "dev"
NEEDS_DEV: Final = ("test", "bench")


class BootstrapError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def runtime_for(environment: Mapping[str, str]) -> str:
    """`gpu` where NVIDIA's driver answers, else `cpu`; `LLMOS_DEVICE` decides otherwise.

    Raises:
        BootstrapError: `LLMOS_DEVICE` is neither.
    """
    wanted = environment.get("LLMOS_DEVICE", "")
    if wanted and wanted not in RUNTIMES:
        raise BootstrapError(f"LLMOS_DEVICE must be one of {', '.join(RUNTIMES)}, not {wanted!r}.")
    if wanted:
        return wanted
    installed = MARKS / "runtime"
    if installed.exists():
        return installed.read_text(encoding="utf-8").strip()
    return "gpu" if _has_gpu() else "cpu"


def lock_file(name: str) -> Path:
    """The lock called `name`."""
    return REQUIREMENTS / f"{name}.txt"


def is_installed(name: str) -> bool:
    """Whether the environment was installed from just this lock."""
    mark = MARKS / f"{name}.txt"
    return mark.exists() and mark.read_bytes() == lock_file(name).read_bytes()


def mark_installed(name: str) -> None:
    """Note that the environment holds this lock, whole."""
    MARKS.mkdir(exist_ok=True)
    shutil.copyfile(lock_file(name), MARKS / f"{name}.txt")
    if name in RUNTIMES:
        (MARKS / "runtime").write_text(name, encoding="utf-8")


def _has_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    answer = subprocess.run((program, "-L"), check=False, capture_output=True, text=True)
    return answer.returncode == 0 and "GPU" in answer.stdout
