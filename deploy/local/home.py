"""The one directory that holds everything a stack keeps: data, logs, secrets, ports, state."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.kit.clock import new_secret

CHECKOUT: Final = Path(__file__).resolve().parents[2]
OPERATOR: Final = "operator"
"""Who the registry's records name for what is done with this home's admin key."""
_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE_FILE: Final = 0o600


@dataclass(frozen=True)
class Home:
    """Where things are, under `LLMOS_HOME`."""

    root: Path

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """One file per password or key, readable by the owner only."""
        return self.root / "secrets"

    @property
    def state_file(self) -> Path:
        """What the supervisor last knew; see `state.py`."""
        return self.root / "state.json"

    @property
    def lock_file(self) -> Path:
        """Held by the running supervisor."""
        return self.root / "lock"

    @property
    def ports_file(self) -> Path:
        """The ports of the last start, to be taken again if they are free."""
        return self.root / "ports.json"

    def log(self, name: str) -> Path:
        """Log file of one process."""
        return self.logs / f"{name}.log"

    def directory(self, name: str) -> Path:
        """A private directory of one part, made when it is missing."""
        return private_directory(self.root / name)

    def prepare(self) -> None:
        """Make the directories, readable by the owner only."""
        for path in (self.root, self.logs, self.secrets):
            private_directory(path)

    def secret_file(self, name: str, *, prefix: str = "") -> Path:
        """File that holds the secret `name`; a fresh secret the first time, the same for ever after."""
        path = self.secrets / name
        if not path.exists():
            private_directory(self.secrets)
            write_private(path, f"{prefix}{new_secret()}\n")
        return path

    def secret(self, name: str, *, prefix: str = "") -> str:
        """The secret `name` itself."""
        return self.secret_file(name, prefix=prefix).read_text(encoding="utf-8").strip()

    def api_key_file(self) -> Path:
        """File with the one API key that is made at the first start."""
        return self.secret_file("api_keys", prefix="sk-llmos-")

    def admin_key_file(self) -> Path:
        """File with the one admin key, `<name>:<key>`, that is made at the first start."""
        return self.secret_file("admin_keys", prefix=f"{OPERATOR}:sk-llmos-admin-")

    def acting_key_file(self) -> Path:
        """File with the one key with which the trainer asks models for their tenants."""
        return self.secret_file("acting_keys", prefix="trainer:sk-llmos-acting-")

    def stack_id(self) -> str:
        """Marks every process that belongs to this home, through `LLMOS_STACK_ID` in its environment."""
        return self.secret("stack_id")


def private_directory(path: Path) -> Path:
    """Make `path` a directory that only its owner can enter."""
    path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_DIRECTORY)
    path.chmod(_PRIVATE_DIRECTORY)
    return path


def write_private(path: Path, text: str) -> None:
    """Write `text` so that no one else can read it, not even for a moment, and no one sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
