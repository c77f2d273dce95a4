"""Puts one scheduler process together: bus, pools, clock, shutdown."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.inference import ServiceClass
from libs.contracts.topology import CMD_INFERENCE, scheduler_durable
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, PullConsumer
from libs.kit.discovery import Discovery
from libs.kit.health import Health
from libs.kit.metrics.connection import show_bus
from libs.kit.operators import operators_desk
from libs.kit.page import Page
from services.scheduler import metrics
from services.scheduler.admin.desk import AdminDesk
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.domain.recent import Recent
from services.scheduler.handlers import Handlers, token_prefix
from services.scheduler.ledger import Ledger
from services.scheduler.limits import Limits
from services.scheduler.settings import Settings
from services.scheduler.stats import Stats
from services.scheduler.system_watch import SystemWatch
from services.scheduler.voice import Voice

log = structlog.get_logger(__name__)

SWEEP_S: Final = 0.05
_PROOF_TIMEOUT_S: Final = 2.0
_MEMORY_S: Final = 30.0
"""How long a request that is settled here is remembered, at least; a lost acknowledgement shows after one lease."""


class Scheduler:
    """One process: it may serve several pools, and several processes may serve one."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("s")
        self._settings = settings
        inbox = subjects.scheduler_reply(f"{self.instance}-calls", "").rstrip(".")
        options = settings.nats.options(f"scheduler.{self.instance}", inbox_prefix=inbox)
        self._bus = BusClient(options, on_state=self._on_state)
        self._called_off = Recent()
        self.dispatchers = [self._dispatcher(number, pool) for number, pool in enumerate(settings.pools)]
        self._admin = AdminDesk(self._bus, self.instance, self.dispatchers)
        self._operators = operators_desk(self._bus, "scheduler", settings, instance=self.instance)
        self._handlers = Handlers(self._bus, self.instance, self.dispatchers, self._called_off, self._admin.hear)
        self._pulls = [self._pull(dispatcher, which) for dispatcher in self.dispatchers for which in ServiceClass]
        self._watch: SystemWatch | None = None
        if settings.system.user:
            options = settings.system.options(f"scheduler-system.{self.instance}")
            self._watch = SystemWatch(options, self._on_disconnect)
        self.health = self._depend()
        self._discovery = Discovery("scheduler", self.instance, self.health)
        self._discovery.offer(subjects.scheduler_call, self._admin.tallies, queue_group="scheduler")
        self.page = Page((settings.metrics_host, settings.metrics_port), self.health)
        show_bus(self.page, self._bus)
        metrics.show(self.page, self.dispatchers)
        self._proven_s = 0.0
        self._proof: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the bus need not be there yet."""
        self.page.start()
        self._handlers.subscribe()
        self._admin.start()
        self._operators.start(self._discovery)
        self._discovery.listen(self._bus)
        for pull in self._pulls:
            pull.start()
        await self._bus.connect_when_possible()
        if self._watch is not None:
            await self._watch.start()
        self._clock = asyncio.create_task(self._tick(), name="scheduler-clock")
        log.info("scheduler started", instance=self.instance, pools=self._settings.pools)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a fault in the clock ends the process, so that a healthy one takes over."""
        await self.start()
        assert self._clock is not None  # noqa: S101 - `start` has just made it
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((waiting, self._clock), return_when=asyncio.FIRST_COMPLETED)
            if self._clock.done():
                self._clock.result()
        finally:
            waiting.cancel()
            await self.stop()

    async def stop(self) -> None:
        """Hand everything back, so that the next scheduler has it at once, and close."""
        await asyncio.gather(*(pull.stop() for pull in self._pulls))
        for dispatcher in self.dispatchers:
            dispatcher.matcher.hand_back_waiting()
        await self._wait_for_answers()
        for dispatcher in self.dispatchers:
            dispatcher.matcher.hand_back_offered()
        await self._admin.stop()
        await self._operators.stop()
        for task in (self._clock, self._proof, self._opening):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._watch is not None:
            await self._watch.stop()
        await self._bus.close()
        await self.page.stop()
        log.info("scheduler stopped", instance=self.instance)

    def _dispatcher(self, number: int, pool: str) -> Dispatcher:
        settings, stats = self._settings, Stats()
        voice = Voice(self._bus, self.instance, token_prefix(number), stats)
        limits = Limits(
            accept_timeout_s=settings.accept_timeout_s,
            beat_timeout_s=settings.beat_timeout_s,
            grace_s=settings.grace_s,
            direct=settings.direct,
            max_doubtful=settings.max_doubtful,
        )
        return Dispatcher(pool, voice, Ledger(voice, stats, self._called_off), limits, stats)

    def _pull(self, dispatcher: Dispatcher, service_class: ServiceClass) -> PullConsumer:
        return PullConsumer(
            self._bus,
            stream=CMD_INFERENCE.name,
            durable=scheduler_durable(dispatcher.pool, service_class),
            inbox=subjects.scheduler_reply(self.instance, f"pull-{dispatcher.pool}-{service_class}"),
            handler=dispatcher.on_pulled,
        )

    def _depend(self) -> Health:
        health = Health()
        health.see("nats", lambda: self._bus.connected)
        if self._watch is not None:
            # Without it the end of a worker is noticed by its silence, somewhat later.
            watch = self._watch
            health.see("system_events", lambda: watch.connected, needed=False)
        return health

    def _on_state(self, connected: bool) -> None:  # noqa: FBT001 - the bus's callback shape
        log.info("bus reached" if connected else "bus lost")
        if not connected:
            for dispatcher in self.dispatchers:
                dispatcher.pause()
            return
        self._bus.publish(subjects.REPORT)
        if self._admin.cordons.known:
            self._resume()
        elif self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="scheduler-opening")
        for pull in self._pulls:
            pull.restart()

    async def _open(self) -> None:
        """Give out work only when it is known who is to be given none."""
        await self._admin.cordons.first_look()
        if self._bus.connected:
            self._resume()

    def _resume(self) -> None:
        for dispatcher in self.dispatchers:
            dispatcher.resume()

    def _on_disconnect(self, worker_id: str) -> None:
        if self._handlers.on_disconnect(worker_id):
            log.info("worker's connection ended", worker=worker_id)
            self._prove()

    async def _tick(self) -> None:
        """Sweep often, renew leases three times per lease, and let memories fade."""
        renewed_s = faded_s = clock.monotonic_s()
        while True:
            await asyncio.sleep(SWEEP_S)
            # Every pool is swept, even when the first already asks for a proof.
            if any([dispatcher.sweep(self._proven_s) for dispatcher in self.dispatchers]):  # noqa: C419
                self._prove()
            if not self._bus.connected:
                continue
            now_s = clock.monotonic_s()
            if now_s - renewed_s >= self._settings.lease_s / 3:
                renewed_s = now_s
                for dispatcher in self.dispatchers:
                    dispatcher.extend_leases()
            if now_s - faded_s >= _MEMORY_S:
                faded_s = now_s
                self._called_off.rotate()
                for dispatcher in self.dispatchers:
                    dispatcher.ledger.forget_old()

    def _prove(self) -> None:
        """Ask every worker for a sign, and the server for an answer that comes after the signs it has already sent."""
        if self._bus.connected and (self._proof is None or self._proof.done()):
            self._proof = asyncio.create_task(self._round_trip(), name="scheduler-proof")

    async def _round_trip(self) -> None:
        asked_s = clock.monotonic_s()
        try:
            self._bus.publish(subjects.REPORT)
            await self._bus.flush(_PROOF_TIMEOUT_S)
        except BusError as error:
            log.warning("bus not proven", reason=str(error))
        else:
            self._proven_s = asked_s

    async def _wait_for_answers(self) -> None:
        deadline_s = clock.monotonic_s() + self._settings.accept_timeout_s
        while any(len(d.offers) for d in self.dispatchers) and clock.monotonic_s() < deadline_s:  # noqa: ASYNC110 - once
            await asyncio.sleep(SWEEP_S / 5)


def build_app(settings: Settings) -> Scheduler:
    """Everything wired, nothing started."""
    return Scheduler(settings)
