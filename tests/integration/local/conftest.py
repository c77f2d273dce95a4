"""A whole local stack, driven through the command, with the fake engine so that it is up in seconds."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import openai
import pytest

from deploy.local import processes
from deploy.local.client import Stack
from deploy.local.home import CHECKOUT, Home
from deploy.local.parts.objects import sockets
from deploy.local.ports import remembered
from deploy.local.state import StackState
from libs.kit.clock import monotonic_s
from libs.testkit.ports import free_port

FAKE = {"INFERENCE_ENGINE": "libs.testkit.fake_engine:build"}


@dataclass
class Commanded:
    """One home and the command that works on it."""

    root: Path
    engine: Mapping[str, str] = field(default_factory=lambda: FAKE)

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def state(self) -> StackState:
        state = Stack(self.home).state()
        assert state is not None
        return state

    def environment(self) -> dict[str, str]:
        own = {"LLMOS_HOME": str(self.root), "PYTHONPATH": str(CHECKOUT)}
        return {**os.environ, **self.engine, **own}

    def run(self, *arguments: str, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (sys.executable, "-P", "-m", "cli", *arguments),
            env=self.environment(), check=False, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip

    def up(self) -> StackState:
        started = self.run("up", "--detach", "--port", str(free_port()))
        assert started.returncode == 0, started.stdout + started.stderr
        return self.state

    def ask(self) -> str:
        """A whole answer of the model, through the official SDK."""
        client = openai.OpenAI(
            base_url=self.state.base_url, api_key=Stack(self.home).api_key(), max_retries=5, timeout=30
        )
        answer = client.chat.completions.create(
            model=self.state.model, messages=[{"role": "user", "content": "How much is the teapot?"}], max_tokens=8
        )
        return str(answer.choices[0].message.content)

    def left(self) -> list[str]:
        """What is left of it: processes, and files outside the home."""
        running = [f"process {pid}" for pid in processes.strays(self.home)] if self.home.secrets.exists() else []
        files = [socket for port in remembered(self.home).values() for socket in sockets(port) if socket.exists()]
        return [*running, *map(str, files)]


def until(condition: Callable[[], bool], what: str, timeout_s: float = 40) -> None:
    """Return as soon as `condition()` holds."""
    deadline_s = monotonic_s() + timeout_s
    while not condition():
        assert monotonic_s() < deadline_s, f"{what} did not come"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    """A stack that is up, for all tests that do it no harm."""
    stack = Commanded(tmp_path_factory.mktemp("shared") / "home")
    stack.up()
    yield stack
    assert stack.run("down").returncode == 0
    assert not stack.left()


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Commanded]:
    """A stack of the test's own, not yet started; taken down at the end, whatever happened."""
    stack = Commanded(tmp_path / "home")
    yield stack
    stack.run("down")
    assert not stack.left()
