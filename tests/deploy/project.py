"""The whole installation in containers, under a name and a port of its own, driven as an operator would."""

import json
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from deploy.local.home import CHECKOUT
from libs.kit import clock

PROJECT: Final = "llmos-test"
STANDINS: Final = {
    "nats": "nats", "chrislusf/seaweedfs": "seaweedfs", "haproxy": "haproxy",
    "prom/prometheus": "prometheus", "jaegertracing/jaeger": "jaeger",
}  # fmt: skip
"""Image → target of `standins/Dockerfile`, for machines that can pull none."""
NOT_STARTED: Final = ("grafana",)
"""Services without a stand-in."""
FAKE_ENGINE: Final = os.environ.get("LLMOS_DEPLOY_ENGINE") == "fake"
"""Whether an engine answers that costs nothing, where vLLM would take minutes for each start."""
SUBNET: Final = "172.16.247.0/24"
"""Not that of an installation beside it."""
AS_THEY_ARE: Final = os.environ.get("LLMOS_DEPLOY_BUILD") == "no"
"""Whether our own images are taken as they are, not built first."""
_PATIENCE_S: Final = 1_800.0


@dataclass
class Compose:
    """The compose project, driven as an operator would."""

    port: int
    folder: Path
    """Where the tests write, and the trainer reads."""
    key: str = ""
    admin_key: str = ""
    came_up_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    """Images that are only stand-ins."""

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """`docker compose ARGUMENTS` on this project."""
        added = ("exam.yml", "fake-engine.yml") if FAKE_ENGINE else ("exam.yml",)
        files = ("docker-compose.yml", *(f"tests/deploy/{name}" for name in added))
        named = [part for file in files for part in ("-f", file)]
        return self.docker("compose", "-p", PROJECT, *named, *arguments, check=check)

    def docker(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """`docker ARGUMENTS`."""
        done = subprocess.run(
            ("docker", *arguments), cwd=CHECKOUT,
            env={
                **os.environ, "LLMOS_PORT": str(self.port), "LLMOS_TEST_FOLDER": str(self.folder),
                "LLMOS_DOOR_SUBNET": SUBNET,
            },
            check=False, capture_output=True, text=True, timeout=_PATIENCE_S,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *arguments: str) -> None:
        """Start what is missing and wait until it is healthy."""
        self.run("up", "-d", "--wait", "--wait-timeout", "900", *arguments)

    def begin(self) -> None:
        """Bring it up from nothing, and read the keys that it has made."""
        began_s = clock.monotonic_s()
        try:
            self.up()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.run('logs', '--tail', '5').stdout}") from error
        self.came_up_s = clock.monotonic_s() - began_s
        gateway = self.containers("gateway")[0]
        self.key = self.docker("exec", gateway, "cat", "/run/secrets/api_keys").stdout.strip()
        self.admin_key = (
            self.docker("exec", gateway, "cat", "/run/secrets/admin_keys").stdout.strip().rpartition(":")[2]
        )

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers."""
        return self.run("ps", "-q", service).stdout.split()

    def state(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found: dict[str, Any] = json.loads(self.docker("inspect", container).stdout)[0]["State"]
        return found

    def kill(self, container: str) -> None:
        """SIGKILL for everything in it; not `docker kill`, after which the engine starts nothing again."""
        self.docker("exec", container, "sh", "-c", "kill -9 -1", check=False)

    def http(self, key: str = "") -> httpx2.Client:
        """A client of the balancer."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60, trust_env=False)

    def answer(self, question: str = "How much is the teapot?", max_tokens: int = 8) -> dict[str, Any]:
        """A whole answer of the model through the balancer; an error where there is none."""
        with self.http() as http:
            asked = {"model": "helpdesk", "messages": [{"role": "user", "content": question}], "temperature": 0}
            reply = http.post("/v1/chat/completions", json={**asked, "max_tokens": max_tokens})
            reply.raise_for_status()
            found: dict[str, Any] = reply.json()
            return found

    def admin(self, path: str, method: str = "GET") -> dict[str, Any]:
        """What the admin API answers; an error where it does not."""
        with self.http(self.admin_key) as http:
            reply = http.request(method, f"/admin/v1{path}")
            reply.raise_for_status()
            found: dict[str, Any] = reply.json()
            return found

    def judge(self) -> str:
        """Have an answer and find it good; its id."""
        judged: str = self.answer()["id"]
        with self.http() as http:
            said = http.post("/v1/feedback", json={"kind": "thumb", "value": True, "inference_id": judged})
        assert said.status_code == 201, said.text
        return judged

    def traced(self, path: str, key: str, body: dict[str, Any]) -> str:
        """The trace id of a request that is recorded."""
        trace_id = secrets.token_hex(16)
        with self.http(key) as http:
            reply = http.post(path, json=body, headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"})
            reply.raise_for_status()
            assert reply.headers["x-llmos-trace-id"] == trace_id
        return trace_id

    def down(self, *, check: bool = True) -> None:
        """Remove containers, networks and volumes, those of the watchers too."""
        self.run("--profile", "observability", "down", "--volumes", "--remove-orphans", check=check)


def keep_asking(ask: Callable[[], Any], what: str, timeout_s: float = 900) -> tuple[float, int]:
    """Ask until there is an answer; how many seconds that took and how often it failed."""
    began_s, failures = clock.monotonic_s(), 0
    while True:
        try:
            assert ask() is not False
        except (httpx2.HTTPError, AssertionError, OSError) as error:
            failures += 1
            if clock.monotonic_s() - began_s > timeout_s:
                raise AssertionError(f"{what} did not come back") from error
        else:
            return clock.monotonic_s() - began_s, failures


def engine_answers() -> bool:
    """Whether a Docker engine and compose are there."""
    try:
        for command in (("docker", "info"), ("docker", "compose", "version")):
            subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def get_images(project: Compose) -> None:
    """Build ours; pull the others, or make stand-ins where nothing can be pulled."""
    told = project.run("--profile", "observability", "config", "--format", "json")
    services = [about for name, about in json.loads(told.stdout)["services"].items() if name not in NOT_STARTED]
    for image in sorted({each["image"] for each in services if "build" not in each}):
        there = project.docker("image", "inspect", image, check=False).returncode == 0
        if there or project.docker("pull", "--quiet", image, check=False).returncode == 0:
            continue
        target = STANDINS.get(image.rpartition(":")[0])
        assert target is not None, f"{image} is not here, cannot be pulled, and has no stand-in"
        file = "tests/deploy/standins/Dockerfile"
        project.docker("build", "--quiet", "-f", file, "--target", target, "-t", image, ".")
    for image in sorted({each["image"] for each in services if "build" not in each}):
        labels = project.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image).stdout
        if "standin" in labels:
            project.notes.append(image)
    if not AS_THEY_ARE:
        project.run("build")
