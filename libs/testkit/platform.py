"""The whole request path as real processes on loopback: nats-server, gateway, scheduler, workers."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from libs.testkit.processes import die_with_parent, kill_group

ROOT: Final = Path(__file__).resolve().parents[2]
FAKE_ENGINE: Final = "libs.testkit.fake_engine:build"
VLLM_ENGINE: Final = "services.inference.engines.vllm:build"
VLLM_ENVIRONMENT: Final = {
    # One engine process less and no compile stall at the first odd request: right for a small CPU machine.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass
class Platform:
    """One installation for a test; start it with `with`, kill and restart its parts by name."""

    directory: Path
    nats: NatsServer
    engine: str = FAKE_ENGINE
    model: str = "fake"
    model_name: str = "helpdesk"
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    """Extra settings for every process, for example `GATEWAY_QUEUE_TIMEOUT_S`."""
    start_timeout_s: float = 180.0
    port: int = field(default_factory=free_port)
    api_key: str = field(default_factory=lambda: "sk-llmos-" + secrets.token_hex(16))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Root of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client wants."""
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        for index in range(self.workers):
            self.start(f"worker-{index}")
        self.start("scheduler")
        self.start("gateway")
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.end(name, signal.SIGTERM)

    def start(self, name: str) -> None:
        """Start one process; its output goes to `<name>.log`."""
        module = "services.inference" if name.startswith("worker-") else f"services.{name}"
        env = {**_inherited(), **self._settings(name), **self.environment}
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env=env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def kill(self, name: str) -> None:
        """`kill -9` one process and its children, as the kernel or an operator might."""
        self.end(name, signal.SIGKILL)

    def end(self, name: str, how: signal.Signals, timeout_s: float = 30.0) -> None:
        """Signal one process, wait for it, and clear its process group."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(timeout=timeout_s)
        finally:
            kill_group(process.pid)

    def wait_ready(self) -> None:
        """Wait until the gateway says that it is ready.

        Raises:
            RuntimeError: a process ended, or the time is over; with the end of every log.
        """
        deadline_s = time.monotonic() + self.start_timeout_s
        while not self.is_ready():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline_s:
                raise RuntimeError(f"the platform is not ready; ended: {dead}\n{self.logs()}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:  # noqa: S310 - loopback
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def logs(self, tail_bytes: int = 3_000) -> str:
        """The end of every log, for a failure message."""
        files = sorted(self.directory.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-tail_bytes:]}" for path in files)

    def _settings(self, name: str) -> dict[str, str]:
        if name == "gateway":
            keys = self.directory / "api_keys"
            keys.write_text(self.api_key + "\n", encoding="utf-8")
            return {
                **self.nats.environment("GATEWAY_NATS__", "gateway"),
                "GATEWAY_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "GATEWAY_API_KEYS_FILE": str(keys),
            }
        if name == "scheduler":
            return {
                **self.nats.environment("SCHEDULER_NATS__", "scheduler"),
                **self.nats.environment("SCHEDULER_SYSTEM__", "system"),
            }
        return {
            **self.nats.environment("INFERENCE_NATS__", "inference"),
            "INFERENCE_NAME": name,
            "INFERENCE_ENGINE": self.engine,
            "INFERENCE_MODEL": self.model,
            "INFERENCE_MODEL_NAME": self.model_name,
            **(VLLM_ENVIRONMENT if self.engine == VLLM_ENGINE else {}),
            **({"INFERENCE_ENGINE_ARGS": json.dumps(["--max-num-seqs", "16"])} if self.engine == VLLM_ENGINE else {}),
        }


def _inherited() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}
