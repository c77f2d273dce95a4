"""Keeps one part alive: starts it, waits until it is ready, starts it again with back-off when it dies, stops it."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.logs import tail
from deploy.local.part import Part
from deploy.local.processes import MARKER
from deploy.local.state import PartPhase, PartState
from libs.kit.clock import monotonic_s, unix_ms
from libs.kit.watchdog import HUNG

log = logging.getLogger(__name__)

_CHILD: Final = str(Path(__file__).with_name("child.py"))
_PROBE_EVERY_S: Final = 0.05
_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_MOST_S: Final = 15.0
_STEADY_AFTER_S: Final = 30.0
"""A part that has run this long may fail again as if for the first time."""
_MOST_FIRST_FAILURES: Final = 4
"""A part that has never been ready and fails this often stops the whole start."""
_HOPELESS: Final = "cannot run with what it was told"
"""Said of a process that ends with `EX_CONFIG` (78): the same start would end the same way."""
_HUNG: Final = f"hung, and ended itself with status {HUNG}"
_LEFTOVER_GRACE_S: Final = 3.0
_PLAIN_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


class PartRunner:
    """One part and the process that is currently it."""

    def __init__(self, part: Part, home: Home, environment: Mapping[str, str], changed: Callable[[], None]) -> None:
        self.part = part
        self.state = PartState(name=part.name, title=part.title, ports=dict(part.ports))
        self.ready = asyncio.Event()
        self._home = home
        self._environment = self._compose(environment)
        self._changed = changed
        self._process: Process | None = None
        self._spawning = asyncio.Lock()
        self._stopping = False
        self._failures = 0

    @property
    def pid(self) -> int:
        """Process id, 0 when it does not run."""
        return self.state.pid

    async def run(self) -> None:
        """Keep the part alive until `stop`; a task ends when it has succeeded.

        Raises:
            StackError: it failed again and again without ever having been ready.
        """
        while not self._stopping:
            started_s = monotonic_s()
            reason = await self._live()
            if self._stopping or (self.part.task and reason == ""):
                break
            await self._after_death(reason, lived_s=monotonic_s() - started_s)

    async def stop(self) -> None:
        """End the process: the stop signal, then time, then `kill`; whatever it has forked goes too."""
        self._stopping = True
        async with self._spawning:  # either it is there by now, or it will never be
            process = self._process
        if process is None:
            if self.state.phase is not PartPhase.DONE:
                self._become(PartPhase.STOPPED)
            return
        self._become(PartPhase.STOPPING)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.part.stop_signal)
        try:
            async with asyncio.timeout(self.part.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not stop within %s s: killed", self.part.name, self.part.stop_timeout_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await self._end_family(process.pid)
        self._become(PartPhase.STOPPED)

    async def _live(self) -> str:
        """One life of the process; returns how it ended, empty if it did what it should."""
        async with self._spawning:
            if self._stopping:
                return ""
            process = await self._spawn()
        probe = asyncio.create_task(self._until_ready(process))
        try:
            code = await process.wait()
        finally:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
        self._process, self.state.pid = None, 0
        await self._end_family(process.pid)
        if self.part.task and code == 0:
            self.state.ready_ms = unix_ms()
            self._become(PartPhase.DONE)
            self.ready.set()
            return ""
        return _describe(code)

    async def _spawn(self) -> Process:
        part = self.part
        options = ["--parent", str(os.getpid()), "--signal", str(int(part.stop_signal))]
        if part.private_data is not None:
            options += ["--private-data", str(part.private_data)]
        with self._home.log(part.name).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", _CHILD, *options, "--", *part.command,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=self._environment, cwd=part.cwd, start_new_session=True,
            )  # fmt: skip
        self._process, self.state.pid, self.state.started_ms = process, process.pid, unix_ms()
        self._become(PartPhase.STARTING)
        log.info("%s started as process %s", part.name, process.pid)
        return process

    async def _until_ready(self, process: Process) -> None:
        part = self.part
        if part.task:
            return
        since_s = monotonic_s()
        try:
            async with asyncio.timeout(part.start_timeout_s):
                while part.ready is not None and not await part.ready(since_s):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_PROBE_EVERY_S)
        except TimeoutError:
            log.warning("%s was not ready within %s s: killed", part.name, part.start_timeout_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return
        self.state.ready_ms = unix_ms()
        self._become(PartPhase.READY)
        self.ready.set()
        log.info("%s is ready after %s ms", part.name, self.state.ready_ms - self.state.started_ms)

    async def _after_death(self, reason: str, *, lived_s: float) -> None:
        name = self.part.name
        self._failures = 1 if lived_s > _STEADY_AFTER_S else self._failures + 1
        log.warning("%s %s", name, reason)
        if not self.ready.is_set() and (self._failures >= _MOST_FIRST_FAILURES or reason == _HOPELESS):
            self._become(PartPhase.FAILED, reason)
            last = tail(self._home.log(name), lines=8)
            times = f", {self._failures} times" if self._failures > 1 else ""
            raise StackError(f"{self.part.title} {reason}{times}.", f"Its last words:\n{last}")
        delay_s = min(_BACKOFF_FIRST_S * 2 ** (self._failures - 1), _BACKOFF_MOST_S)
        self.state.restarts += 1
        self._become(PartPhase.RESTARTING, f"{reason}; again in {delay_s:g} s")
        await asyncio.sleep(delay_s)

    async def _end_family(self, session: int) -> None:
        """End what the dead process has left behind in its session, and remove its files outside the home."""
        await processes.end(lambda: processes.session_members(session), grace_s=_LEFTOVER_GRACE_S)
        for path in self.part.leftovers:
            path.unlink(missing_ok=True)

    def _compose(self, environment: Mapping[str, str]) -> dict[str, str]:
        seen = (
            environment if self.part.inherits else {k: environment[k] for k in _PLAIN_ENVIRONMENT if k in environment}
        )
        return {**self.part.defaults, **seen, **self.part.env, MARKER: self._home.stack_id()}

    def _become(self, phase: PartPhase, detail: str = "") -> None:
        if phase in (PartPhase.STOPPED, PartPhase.DONE):
            self.state.pid, self._process = 0, None
        self.state.phase, self.state.detail = phase, detail
        self._changed()


def _describe(code: int) -> str:
    if code == os.EX_CONFIG:
        return _HOPELESS
    if code == HUNG:
        return _HUNG
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"
