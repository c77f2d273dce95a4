"""Which code this is: the commit of the checkout, else the release."""

import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).resolve().parents[3]
_TIMEOUT_S: Final = 5.0


def code_version() -> str:
    """A commit of 40 hex digits, or a version number; empty where neither is known."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_CHECKOUT), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=True,
        )  # fmt: skip
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return metadata.version("llmos")
    except metadata.PackageNotFoundError:
        return ""
