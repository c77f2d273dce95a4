"""The leader's work: events out of the outbox, deployments one step further, desired states into the bucket again."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from libs.contracts.registry import Deployment
from libs.kit import clock
from libs.kit.bus.stored import Event
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.outbox import Relay
from libs.kit.postgres import Database
from libs.kit.waiting import set_within
from services.registry.fleet import Fleet
from services.registry.leader import Leader
from services.registry.service.deploying import Deployments
from services.registry.service.steps import StepListener
from services.registry.tables import OUTBOX
from services.registry.voice import Voice

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Steward:
    """Level-triggered: every round looks at what is and does what is missing, whatever it has seen of the changes."""

    database: Database
    store: ObjectStore
    leader: Leader
    fleet: Fleet
    deployments: Deployments
    voice: Voice
    passed: StepListener
    pause_s: float
    retry_s: float
    """The same after something was not done."""
    announce_s: float
    wake: asyncio.Event
    """Set when something is known to have changed; else every round waits for the pause."""
    _announced: dict[str, tuple[Deployment, float]] = field(default_factory=dict)
    """What was last put into the bucket for each pool, and when."""
    _stopping: bool = False
    _keeps_versions: bool = False
    _troubles: dict[str, str] = field(default_factory=dict)
    """What kept each kind of work from being finished; said once."""
    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Work in the background until `stop`."""
        self._task = asyncio.create_task(self._keep(), name="steward")

    async def stop(self) -> None:
        """Stop and give the lead away."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.leader.resign()

    async def round(self) -> None:
        """Look at every deployment once, if this process leads.

        Raises:
            ServiceError: something that it stands on is away.
        """
        self.fleet.look(connected=self.voice.is_connected)
        if not await self.leader.check():
            self._announced.clear()
            return
        if not self.voice.is_connected:
            return
        if not self.fleet.is_known:
            self.voice.ask_for_beats()
        for pool in await self.deployments.pools():
            step = await self.deployments.reconcile(pool)
            if step is None:
                continue
            deployment, ask = step
            await self._announce(deployment)
            if ask:
                log.info("worker is asked to reload", pool=pool, worker=ask, base=deployment.base.reference)
                self.voice.ask_to_reload(ask)

    async def relay(self) -> None:
        """Send what waits in the outbox, in order, if this process leads.

        Raises:
            ServiceError: something that it stands on is away.
        """
        if not self.leader.leads or not self.voice.is_connected:
            return
        await Relay(self.database, OUTBOX, self._send).send()

    async def _send(self, events: list[Event]) -> None:
        await self.voice.store(events)
        await self.passed("event sent")

    async def keep_versions(self) -> None:
        """Have the bucket keep what is deleted, once in the life of a process.

        Raises:
            ServiceError: `storage_unavailable`, the store is away or keeps no versions.
        """
        if not self._keeps_versions:
            await self.store.keep_versions()
            self._keeps_versions = True

    async def _announce(self, deployment: Deployment) -> None:
        last, at_s = self._announced.get(deployment.pool, (None, 0.0))
        now_s = clock.monotonic_s()
        if last == deployment and now_s - at_s < self.announce_s:
            return
        await self.voice.put_deployment(deployment)
        self._announced[deployment.pool] = (deployment, now_s)

    async def _keep(self) -> None:
        """Both, again and again; what fails is done again after the pause."""
        # Not `True`: whatever swallows the cancellation that `stop` asks for, the next round is not begun.
        while not self._stopping:
            self.wake.clear()
            await self._attempt(self.keep_versions)
            await self._attempt(self.round)
            await self._attempt(self.relay)
            await set_within(self.wake, self.retry_s if self._troubles else self.pause_s)

    async def _attempt(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
            self._troubles.pop(work.__name__, None)
        except ServiceError as error:
            if error.code != self._troubles.get(work.__name__):
                log.warning("not done yet", work=work.__name__, code=error.code, reason=error.message)
            self._troubles[work.__name__] = error.code
        except Exception:
            # A fault in one round must not end them all: what it concerns may be gone in the next.
            log.exception("round failed")
