"""Our whole path as real processes: nats-server, gateway, scheduler and one worker, configured as for production."""

import asyncio
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from benchmarks.accounting import Role
from benchmarks.contenders import Contender
from benchmarks.generator import Target
from benchmarks.isolation import free_port
from benchmarks.processes import Program, accepts, answers
from deploy.nats.config import ENVIRONMENT, USERS, render_config
from deploy.nats.provision import provision
from libs.kit.settings import NatsSettings

DIRECTORY: Final = "llmos"
POOL: Final = "default"
NATS_START_S: Final = 20.0
READY_S: Final = 300.0
CHECKOUT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Worker:
    """What the worker serves."""

    model: str
    model_name: str
    environment: Mapping[str, str]
    extra: dict[str, object] = field(default_factory=dict)
    """Body fields that this engine needs."""


@dataclass(frozen=True)
class Installation:
    """Ports and secrets of one start; nothing of it outlives the benchmark."""

    home: Path
    nats_port: int
    gateway_port: int
    api_key: str
    passwords: Mapping[str, str]

    @classmethod
    def fresh(cls, home: Path) -> "Installation":
        """An empty installation under `home`, in place of whatever was there."""
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700, parents=True)
        passwords = {user: secrets.token_hex(16) for user in USERS}
        return cls(home, free_port(), free_port(), f"sk-llmos-{secrets.token_hex(16)}", passwords)

    def secret_file(self, name: str, text: str) -> Path:
        """A file that only we can read."""
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def bus(self, prefix: str, user: str) -> dict[str, str]:
        """The environment that lets a service connect as `user`."""
        password = self.secret_file(f"{user}.password", self.passwords[user])
        return {
            f"{prefix}HOST": "127.0.0.1",
            f"{prefix}PORT": str(self.nats_port),
            f"{prefix}USER": user,
            f"{prefix}PASSWORD_FILE": str(password),
        }

    def start(self, name: str, command: list[str | Path], env: Mapping[str, str]) -> Program:
        """Start one part with its log beside the others."""
        return Program(name, command, self.home.parent / f"logs/llmos-{name}.log", env)


def start_llmos(home: Path, worker: Worker, keep: Callable[[Program], None]) -> Contender:
    """Start the whole path and wait until the gateway says that it is ready."""
    here = Installation.fresh(home / DIRECTORY)
    nats = _start_nats(here)
    keep(nats)
    nats.wait_until(lambda: accepts(here.nats_port), NATS_START_S)
    asyncio.run(provision(_provisioner(here), (POOL,)))
    parts = {"nats": nats}
    for name, env in _services(here, worker).items():
        module = "inference" if name == "worker" else name
        parts[name] = here.start(name, [sys.executable, "-m", f"services.{module}"], env)
        keep(parts[name])
    parts["gateway"].wait_until(lambda: _ready(here, parts), READY_S)
    return Contender(
        name="llmos",
        title="llmos",
        version=commit(),
        target=Target(
            here.gateway_port, worker.model_name, {"Authorization": f"Bearer {here.api_key}"}, dict(worker.extra)
        ),
        roles=tuple(Role(name, parts[name].pid) for name in ("gateway", "nats", "scheduler", "worker")),
    )


def remove_installation(home: Path) -> None:
    """Remove the queue, the keys and the passwords of a path that was stopped."""
    shutil.rmtree(home / DIRECTORY, ignore_errors=True)


def _start_nats(here: Installation) -> Program:
    text = render_config(
        host="127.0.0.1", port=here.nats_port, store_dir=here.home / "jetstream", passwords=here.passwords
    )
    config = here.secret_file("nats.conf", text)
    return here.start("nats", [Path(sys.executable).parent / "nats-server", "-c", config], ENVIRONMENT)


def _provisioner(here: Installation) -> NatsSettings:
    return NatsSettings(
        host="127.0.0.1", port=here.nats_port, user="provisioner", password=SecretStr(here.passwords["provisioner"])
    )


def _services(here: Installation, worker: Worker) -> dict[str, dict[str, str]]:
    keys = here.secret_file("api_keys", here.api_key + "\n")
    return {
        "worker": {
            **here.bus("INFERENCE_NATS__", "inference"),
            "INFERENCE_NAME": "bench",
            "INFERENCE_MODEL": worker.model,
            "INFERENCE_MODEL_NAME": worker.model_name,
            **worker.environment,
        },
        "scheduler": here.bus("SCHEDULER_NATS__", "scheduler") | here.bus("SCHEDULER_SYSTEM__", "system"),
        "gateway": {
            **here.bus("GATEWAY_NATS__", "gateway"),
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(here.gateway_port),
            "GATEWAY_API_KEYS_FILE": str(keys),
        },
    }


def _ready(here: Installation, parts: Mapping[str, Program]) -> bool:
    for program in parts.values():
        program.check()
    return answers(here.gateway_port, "/readyz")


def commit() -> str:
    """The commit of this checkout, marked when tracked files other than the results differ from it."""
    head = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "-uno", "--", ".", ":!benchmarks/results", ":!benchmarks/README.md")
    return f"{head}+changes" if changed else head


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
