"""The composition root: one engine, one bus connection, one worker, and the deployment that it follows."""

import asyncio
import dataclasses
import importlib
import signal
from typing import Any, Final

import structlog

from libs.contracts import subjects
from libs.contracts.registry import Deployment
from libs.kit import clock
from libs.kit.alive import keep_touching
from libs.kit.bus import BusClient, BusOptions
from libs.kit.discovery import Discovery
from libs.kit.fetch.cache import Cache, Lease
from libs.kit.health import Health
from libs.kit.metrics.connection import show_bus
from libs.kit.operators import OperatorsDesk
from libs.kit.page import Page
from libs.kit.process import spare_collector
from libs.kit.running_settings import RunningSettings
from libs.kit.starting import knock
from libs.kit.telemetry.tracing import configure_tracing
from libs.kit.watchdog import watched_from
from services.inference.beginning import first_base, order
from services.inference.deployment import Follower
from services.inference.engine import Engine, EngineFactory
from services.inference.metrics import EngineMetrics, Metrics
from services.inference.offer import Offer
from services.inference.settings import Settings
from services.inference.source import Source
from services.inference.worker import Identity, Worker

log = structlog.get_logger(__name__)

_STOP_TIMEOUT_S: Final = 15.0
_SETTLE_S: Final = 30.0
"""Beyond it a worker begins without the adapters that are still on their way."""

REPLACE: Final = -1
"""Instead of an exit status: start this process's program again, for its pool has a new base."""


class App:
    """One worker process, from loading the model to the last goodbye."""

    def __init__(self, settings: Settings, make_engine: EngineFactory) -> None:
        self.worker_id = clock.new_instance_id("w")
        self.ready = asyncio.Event()
        self._settings = settings
        self._running = RunningSettings("inference", self.worker_id, settings)
        self._bus: BusClient | None = None
        """The connection that is in use."""
        self.health = Health()
        self.health.see("nats", lambda: self._bus is not None and self._bus.connected)
        self.health.see("engine", lambda: self.ready.is_set() and not self._fatal.is_set())
        self._discovery = Discovery("inference", self.worker_id, self.health)
        self._metrics = Metrics()
        self.page = Page((settings.metrics_host, settings.metrics_port), self.health)
        self.page.registry.register(self._metrics)
        self.page.registry.register(EngineMetrics())
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._follower: Follower | None = None
        self._worker: Worker | None = None
        self._fatal = asyncio.Event()
        self._fatal_reason = ""
        self._terminate = asyncio.Event()

    def terminate(self) -> None:
        """Drain and end; safe to call more than once."""
        self._terminate.set()

    async def run(self) -> int:
        """Live until `terminate`, a drain or reload request, or the engine's death; the exit status, or `REPLACE`."""
        bus = self._bus = BusClient(self._bus_options(), on_state=self._on_bus_state)
        self._discovery.listen(bus)
        operators = self._operators(bus)
        operators.start(self._discovery)
        show_bus(self.page, bus)
        self.page.start()
        try:
            engine = await self._begin(bus)
            return 0 if engine is None else await self._serve(engine, bus)
        finally:
            if self._follower is not None:
                self._follower.stop()
            await operators.stop()
            await bus.close()
            await self._stop_engine()
            if self._follower is not None:
                await self._follower.ended()
            await self.page.stop()

    async def _begin(self, bus: BusClient) -> Engine | None:
        """Start the engine; None if the process was told to end before there was a model."""
        if self._settings.model:
            engine = self._engine = self._make_engine(order(self._settings))
            await engine.start(self._on_fatal)
            return engine
        cache = Cache(
            self._settings.cache_dir.expanduser(), self._settings.cache_max_bytes, rehash=self._settings.cache_rehash
        )
        found = await self._first_base(cache)
        if found is None:
            return None
        deployment, base = found
        engine = self._engine = self._make_engine(order(self._settings, deployment, base))
        await engine.start(self._on_fatal)
        source = Source(bus, self._settings.pool)
        offer = Offer(engine.models, pinned=True)
        self._follower = Follower(deployment, engine=engine, cache=cache, source=source, bus=bus, offer=offer)
        self._follower.start(self.worker_id)
        await bus.connect_when_possible()
        settled = await self._finish(asyncio.create_task(self._follower.settle(_SETTLE_S)))
        return engine if settled else None

    async def _first_base(self, cache: Cache) -> tuple[Deployment, Lease] | None:
        """A deployment and its base, in use until this process ends; None if the process was told to end before.

        On a connection of its own: while an engine loads nothing can be heard, and the server would cut it off.
        """
        bus = BusClient(dataclasses.replace(self._bus_options(), name=f"inference-start.{self.worker_id}"))
        self._discovery.listen(bus)
        operators = self._operators(bus)
        operators.start()
        later, self._bus = self._bus, bus
        await bus.connect_when_possible()
        waiting = asyncio.create_task(first_base(Source(bus, self._settings.pool), cache))
        try:
            return waiting.result() if await self._finish(waiting) else None
        finally:
            self._bus = later
            await operators.stop()
            await bus.close()

    def _operators(self, bus: BusClient) -> OperatorsDesk:
        return OperatorsDesk(bus, "inference", self._running, instance=self.worker_id)

    async def _serve(self, engine: Engine, bus: BusClient) -> int:
        # Its thread comes after the engine's processes, which begin as copies of this one.
        configure_tracing("inference", self._settings.tracing)
        spare_collector()
        self._worker = worker = self._make_worker(engine, bus)
        worker.start()
        if self._follower is not None:
            self._follower.serve(worker)
        else:
            await bus.connect_when_possible()
        self.ready.set()
        log.info("ready", worker=self.worker_id, engine=engine.description, capacity=engine.capacity)
        return await self._live(worker)

    async def _finish(self, work: "asyncio.Task[Any]") -> bool:
        """Wait for `work`; False if the process was told to end before it was done."""
        ending = asyncio.create_task(self._terminate.wait())
        await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))
            return False
        work.result()
        return True

    def _make_worker(self, engine: Engine, bus: BusClient) -> Worker:
        settings = self._settings
        identity = Identity(id=self.worker_id, name=settings.name, pool=settings.pool, capacity=settings.capacity)
        return Worker(
            engine,
            bus,
            identity=identity,
            metrics=self._metrics,
            frame_interval_s=settings.frame_interval_ms / 1_000,
            offer=self._follower.offer if self._follower is not None else None,
        )

    def _bus_options(self) -> BusOptions:
        inbox = subjects.call_inbox("inference", "").rstrip(".")
        return self._settings.nats.options(f"inference.{self.worker_id}", inbox_prefix=inbox)

    async def _live(self, worker: Worker) -> int:
        events = [self._fatal, self._terminate, worker.drain_requested]
        if self._follower is not None:
            events.append(self._follower.reload_ready)
        waits = {asyncio.create_task(event.wait()) for event in events}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._follower is not None:
            self._follower.stop()
        if not self._fatal.is_set():
            log.info("draining", timeout_s=self._settings.drain_timeout_s)
            drained = asyncio.create_task(worker.drain(self._settings.drain_timeout_s))
            died = asyncio.create_task(self._fatal.wait())
            await asyncio.wait((drained, died), return_when=asyncio.FIRST_COMPLETED)
            if drained.done():
                died.cancel()
                return self._after_drain(worker)
            drained.cancel()
        log.error("the engine is dead", reason=self._fatal_reason)
        await worker.die()
        return 1

    def _after_drain(self, worker: Worker) -> int:
        """Told to end meanwhile, a process ends, whatever it drained for."""
        ends = self._terminate.is_set() or worker.drain_requested.is_set()
        return 0 if ends or self._follower is None else REPLACE

    def _on_bus_state(self, connected: bool) -> None:  # noqa: FBT001 - the bus client's callback
        if self._worker is not None:
            self._worker.on_bus_state(connected)
        if self._follower is not None and connected:
            self._follower.read_again()

    def _on_fatal(self, reason: str) -> None:
        self._fatal_reason = self._fatal_reason or reason
        self._fatal.set()

    async def _stop_engine(self) -> None:
        if self._engine is None:
            return
        try:
            await asyncio.wait_for(self._engine.stop(), _STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("the engine did not stop in time", timeout_s=_STOP_TIMEOUT_S)


def build_app(settings: Settings) -> App:
    """Wire the worker: with the model that the settings name, or with whatever its pool's deployment says.

    Nothing is loaded or connected before `run`.

    Raises:
        ValueError: `engine` names no factory.
    """
    module, _, function = settings.engine.partition(":")
    if not function:
        raise ValueError(f"the engine must be named module:function, got {settings.engine!r}")
    factory = getattr(importlib.import_module(module), function)
    return App(settings, factory)


async def serve(settings: Settings) -> int:
    """Run one worker until a signal ends it; the process's exit status, or `REPLACE`.

    Raises:
        StartError: the bus refuses it.
    """
    app = build_app(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.terminate)
    await knock(settings.nats)
    async with (
        keep_touching(settings.alive_file, app.ready),
        # An engine that starts may keep the loop for minutes.
        watched_from(app.ready, settings.watchdog.hang_limit_s),
    ):
        return await app.run()
