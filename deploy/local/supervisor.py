"""Runs a set of parts: each as soon as what it stands on is ready, all down again in the order of their tiers."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.local import processes, state
from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.logs import rotate
from deploy.local.part import Part
from deploy.local.runner import PartRunner
from deploy.local.state import PartPhase, Phase, StackState
from libs.kit.clock import unix_ms

log = logging.getLogger(__name__)

_HOUSEKEEPING_EVERY_S: Final = 1.0


class Supervisor:
    """All parts of one stack."""

    def __init__(
        self, parts: Sequence[Part], home: Home, environment: Mapping[str, str], base: StackState | None = None
    ) -> None:
        self._home = home
        self._runners = {part.name: PartRunner(part, home, environment, self._publish) for part in parts}
        self.state = base or StackState()
        self.state.supervisor_pid = os.getpid()
        self.state.started_ms = unix_ms()
        self.state.parts = [runner.state for runner in self._runners.values()]
        self._stop = asyncio.Event()

    def request_stop(self) -> None:
        """Begin the orderly end; safe to call from a signal handler."""
        self._stop.set()

    async def run(self) -> None:
        """Start everything, keep it alive until `request_stop`, stop everything.

        Raises:
            StackError: a part could not be brought up; everything has been stopped.
        """
        self._publish()
        housekeeping = asyncio.create_task(self._keep_house())
        keepers = [asyncio.create_task(self._keep(runner)) for runner in self._runners.values()]
        failure = await self._until_stop_or_failure(keepers)
        self._enter(Phase.STOPPING, str(failure or ""))
        await self._stop_all()
        for task in (*keepers, housekeeping):
            task.cancel()
        await asyncio.gather(*keepers, housekeeping, return_exceptions=True)
        self._enter(Phase.FAILED if failure else Phase.STOPPED, str(failure or ""))
        if failure is not None:
            raise failure

    async def _keep(self, runner: PartRunner) -> None:
        for name in runner.part.after:
            await self._runners[name].ready.wait()
        await runner.run()

    async def _until_stop_or_failure(self, keepers: list[asyncio.Task[None]]) -> StackError | None:
        """Wait for the request to stop, or for the first part that gives up."""
        stop = asyncio.create_task(self._stop.wait())
        pending: set[asyncio.Task[None]] = set(keepers)
        try:
            while True:
                done, _ = await asyncio.wait({stop, *pending}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & pending:
                    if isinstance(error := task.exception(), StackError):
                        return error
                    task.result()
                pending -= done
                if stop in done:
                    return None
        finally:
            stop.cancel()

    async def _stop_all(self) -> None:
        for tier in sorted({runner.part.tier for runner in self._runners.values()}, reverse=True):
            await asyncio.gather(*(r.stop() for r in self._runners.values() if r.part.tier == tier))

    async def _keep_house(self) -> None:
        orphans = processes.OrphanReaper()
        while True:
            await asyncio.sleep(_HOUSEKEEPING_EVERY_S)
            orphans.collect()
            for path in self._home.logs.glob("*.log"):
                rotate(path)

    def _publish(self) -> None:
        """Write the state, after working out where the stack as a whole is."""
        if self.state.phase in (Phase.STARTING, Phase.READY, Phase.DEGRADED):
            up = all(runner.state.phase in (PartPhase.READY, PartPhase.DONE) for runner in self._runners.values())
            if up:
                self.state.phase = Phase.READY
            elif self.state.phase is Phase.READY:
                self.state.phase = Phase.DEGRADED
        with contextlib.suppress(FileNotFoundError):  # the home was removed under our feet: stop without it
            state.write(self._home, self.state)

    def _enter(self, phase: Phase, message: str) -> None:
        log.info("%s %s", phase, message)
        self.state.phase, self.state.message = phase, message
        self._publish()
