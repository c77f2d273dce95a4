"""A service as a process on real servers, to be killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.testkit.processes import die_with_parent
from libs.testkit.wait import until

ROOT: Final = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S: Final = 240.0
"""Importing alone takes a minute on a machine that is very busy."""


@dataclass
class ServiceProcess:
    """One process of `services.<name>`; each of its lives has a log of its own."""

    name: str
    directory: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    lives: int = 0

    @property
    def log(self) -> Path:
        """What its present life wrote."""
        return self.directory / f"{self.name}-{self.lives}.log"

    @property
    def has_ended(self) -> bool:
        """Whether it does not run."""
        return self.process is None or self.process.poll() is not None

    async def start(self, *module: str) -> None:
        """Start it and wait until it listens; `module` and its arguments instead of its own."""
        self.spawn(*module)
        await until(self._listens, timeout_s=_START_TIMEOUT_S, what=f"the start of {self.name}")

    def spawn(self, *module: str) -> None:
        """Start it."""
        self.lives += 1
        while self.log.exists():
            # Of another process in the same place: its "started" is not ours.
            self.lives += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(module or (f"services.{self.name}",))],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, 30)

    def _listens(self) -> bool:
        text = self.log.read_text(errors="replace")
        assert not self.has_ended, text[-2_000:]
        return f"{self.name} started" in text


@asynccontextmanager
async def running(process: ServiceProcess, *module: str) -> AsyncIterator[ServiceProcess]:
    """The process, started, and ended with the block."""
    await process.start(*module)
    try:
        yield process
    finally:
        await process.end()
