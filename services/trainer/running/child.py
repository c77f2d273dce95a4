"""Runs the process that does a job's heavy work, and hears what it reports."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import msgspec
import structlog

from libs.kit.errors import ServiceError
from services.trainer.running import launch
from services.trainer.work.order import Done, Failed, Order, Report, Said, Stopped, Train

log = structlog.get_logger(__name__)

CHECKOUT: Final = Path(__file__).resolve().parents[3]
_report = msgspec.json.Decoder(Report)
_LONGEST_LINE: Final = 1 << 20
_MOST_TEXT: Final = 4_000
_QUEUE: Final = 1_000
_LAST: Final = (Done, Failed, Stopped)


class DeadError(Exception):
    """The process ended without its last word."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it ended with status {status}")
        self.is_killed = status == -signal.SIGKILL
        """As the kernel does when memory is out."""
        self.status = status


@dataclass(kw_only=True)
class Child:
    """One process and all that it starts, in a process group of their own."""

    module: str
    """Run as `python -m`."""
    order: Order
    threads: int = 1
    priority: str = "idle"
    """Of `launch`."""
    environment: dict[str, str] = field(default_factory=dict)
    """Beside what every such process is told; it sees nothing of ours."""
    _process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process that could be asked to stop."""
        return self._process is not None and self._process.returncode is None

    def ask_to_stop(self) -> bool:
        """Ask it for a checkpoint and its end; False where there is none to be had."""
        if not self.is_running or not isinstance(self.order, Train):
            return False
        self._signal(signal.SIGTERM)
        return True

    async def reports(self) -> AsyncGenerator[Report, None]:
        """Start it and hear it; the last report is `Done`, `Failed` or `Stopped`. Closing this ends the process.

        Raises:
            DeadError: it ended without one of these.
            ServiceError: `internal_error`, it could not be started.
        """
        heard: asyncio.Queue[Report | None] = asyncio.Queue(_QUEUE)
        process = await self._start()
        tasks = [
            asyncio.create_task(_read(cast("asyncio.StreamReader", pipe), heard, is_reports=pipe is process.stdout))
            for pipe in (process.stdout, process.stderr)
        ]
        tasks.append(asyncio.create_task(self._wait(process)))
        told = False
        try:
            cast("asyncio.StreamWriter", process.stdin).write(msgspec.json.encode(self.order) + b"\n")
            open_pipes = 2
            while open_pipes:
                report = await heard.get()
                if report is None:
                    open_pipes -= 1
                elif not told:
                    told = isinstance(report, _LAST)
                    yield report
            status = await process.wait()
            if not told:
                raise DeadError(status)
        finally:
            self._signal(signal.SIGKILL)
            await process.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), self.priority),
                *(sys.executable, "-m", self.module),
                cwd=CHECKOUT,
                env=self._environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceError("internal_error", f"The process cannot be started: {error}.") from error
        return self._process

    def _environment(self) -> dict[str, str]:
        threads = str(self.threads)
        return {
            "PATH": os.defpath,
            "HOME": self.order.directory,
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            **self.environment,
        }

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        """What it leaves running holds its pipes open, for which asyncio would wait; nobody wants that any more."""
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            self._signal(signal.SIGKILL)
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


async def _read(pipe: asyncio.StreamReader, heard: "asyncio.Queue[Report | None]", *, is_reports: bool) -> None:
    """Hand on one pipe, line by line; what is no report is for the log."""
    try:
        while line := await _line(pipe):
            text = line.decode(errors="replace").rstrip()
            if is_reports and text.startswith("{"):
                try:
                    await heard.put(_report.decode(line))
                    continue
                except msgspec.MsgspecError:
                    log.warning("a report is not understood", line=text[:200])
            if text:
                await heard.put(Said(text=text[:_MOST_TEXT]))
    finally:
        await heard.put(None)


async def _line(pipe: asyncio.StreamReader) -> bytes:
    """The next line; of one without end only its last part."""
    while True:
        try:
            return await pipe.readline()
        except ValueError:
            continue
