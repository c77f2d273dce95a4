"""The peers: other gateways in front of the same mock engine, in a Python environment of their own."""

import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.accounting import Role
from benchmarks.contenders import Contender
from benchmarks.generator import Target
from benchmarks.isolation import free_port
from benchmarks.processes import Program, answers

REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"
MODEL: Final = "mock"
LITELLM_START_S: Final = 120.0
ROUTER_START_S: Final = 40.0


class PeersError(RuntimeError):
    """The environment of the peers cannot be made here."""


def install_peers(home: Path) -> Path:
    """Make the peers' environment under `home`, or find it made; returns its `bin` directory.

    pip does it, with whatever settings this machine has for pip.

    Raises:
        PeersError: something cannot be installed.
    """
    environment = home / "venv"
    mark = environment / ".installed"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text(encoding="ascii") == digest:
        return environment / "bin"
    print("installing the peers (once, a minute or two) …", flush=True)
    _command(sys.executable, "-m", "venv", "--clear", str(environment))
    _command(str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
    mark.write_text(digest, encoding="ascii")
    return environment / "bin"


def _command(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeersError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-1_500:]}")


def pinned_version(package: str) -> str:
    """The version of `package` that the requirements name."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


@dataclass(frozen=True)
class Upstream:
    """The mock engine that the peers forward to."""

    port: int
    role: Role

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


def start_litellm(binaries: Path, home: Path, upstream: Upstream, keep: Callable[[Program], None]) -> Contender:
    """LiteLLM's proxy as its documentation starts it: one worker, a master key, no database."""
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    config = home / "litellm.json"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{upstream.url}/v1", "api_key": "unused"}
    config.write_text(
        json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}), encoding="utf-8"
    )
    program = Program(
        "litellm",
        [binaries / "litellm", "--config", config, "--host", "127.0.0.1", "--port", str(port)],
        home / "logs/litellm.log",
        {
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
        },
    )
    keep(program)
    program.wait_until(lambda: answers(port, "/health/liveliness"), LITELLM_START_S)
    return Contender(
        name="litellm",
        title="LiteLLM proxy",
        version=pinned_version("litellm"),
        target=Target(port, MODEL, {"Authorization": f"Bearer {key}"}, {}),
        roles=(Role("gateway", program.pid), upstream.role),
        is_peer=True,
    )


def start_vllm_router(binaries: Path, home: Path, upstream: Upstream, keep: Callable[[Program], None]) -> Contender:
    """vllm-router, the fastest open router in Rust that was found to install here."""
    port = free_port()
    command: list[str | Path] = [
        binaries / "vllm-router",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--worker-urls",
        upstream.url,
    ]
    command += ["--policy", "round_robin", "--log-level", "error"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    program = Program("vllm-router", command, home / "logs/vllm-router.log")
    keep(program)
    program.wait_until(lambda: answers(port, "/health"), ROUTER_START_S)
    return Contender(
        name="vllm-router",
        title="vllm-router",
        version=pinned_version("vllm-router"),
        target=Target(port, MODEL, {}, {}),
        roles=(Role("gateway", program.pid), upstream.role),
        is_peer=True,
    )


PEERS: Final = {"litellm": start_litellm, "vllm-router": start_vllm_router}
