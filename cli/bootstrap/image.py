"""`python -m cli.bootstrap.image LOCK`: makes the environment of a container image, without what only a desk needs.

`PIP_CONF` may name a file with pip's settings for this one build; a secret of the build, it stays in no layer.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.bootstrap import install, locks
from cli.bootstrap.locks import BootstrapError

_SERVERS: Final = locks.REQUIREMENTS / "embedded.in"
_INSTALLERS: Final = ("pip", "setuptools", "uv")
"""What the lock asks for itself stays."""


def main() -> None:
    """Install one lock, byte-compiled; then take away the servers of the local stack and the installers."""
    environment = with_pip_settings(os.environ)
    os.environ.update(environment)  # pip itself is asked for its settings, in a process of its own
    try:
        variables = install.ensure_venv(environment)
        install.install(sys.argv[1], variables)
    except BootstrapError as error:
        sys.exit(f"✗ {error}")
    uv = str(locks.VENV / "bin" / "uv")
    locked = locks.lock_file(sys.argv[1]).read_text(encoding="utf-8")
    for what in (("-r", str(_SERVERS)), [name for name in _INSTALLERS if f"\n{name}==" not in locked]):
        subprocess.run((uv, "pip", "uninstall", "--quiet", *what), check=True, env=variables)


def with_pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which pip reads the file that `PIP_CONF` names, if that says anything."""
    path = Path(environment.get("PIP_CONF", "/dev/null"))
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    says_something = any(line.strip() and not line.lstrip().startswith("#") for line in lines)
    return {**environment, **({"PIP_CONFIG_FILE": str(path)} if says_something else {})}


if __name__ == "__main__":
    main()
