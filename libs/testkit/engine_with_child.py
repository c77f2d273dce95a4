"""The fake engine with a process of its own beside it, as real engines have."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from libs.testkit.fake_engine import FakeEngine

_LONG_S = 3_600.0


class Settings(Protocol):
    """What `build` reads."""

    @property
    def model(self) -> str:
        """File into which the child writes its process id."""


class EngineWithChild(FakeEngine):
    """Starts the child as vLLM starts its engine: by `multiprocessing`, spawned from the main thread."""

    def __init__(self, pid_file: Path) -> None:
        super().__init__()
        self._pid_file = pid_file

    async def start(self, on_fatal: Callable[[str], None]) -> None:
        """Start the child."""
        await super().start(on_fatal)
        multiprocessing.get_context("spawn").Process(target=_live, args=(self._pid_file,), daemon=True).start()


def _live(pid_file: Path) -> None:
    """What the child does: tell its process id, then outlast any test."""
    pid_file.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(_LONG_S)


def build(settings: Settings) -> EngineWithChild:
    """The factory."""
    return EngineWithChild(Path(settings.model))
