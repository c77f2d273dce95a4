"""The composition root: one engine, one bus connection, one worker."""

import asyncio
import gc
import importlib
import signal

import structlog

from libs.kit import clock
from libs.kit.bus import BusClient, BusOptions
from services.inference.engine import Engine
from services.inference.metrics import Metrics
from services.inference.settings import Settings
from services.inference.worker import Identity, Worker

log = structlog.get_logger(__name__)

_STOP_TIMEOUT_S = 15.0


class App:
    """One worker process, from loading the model to the last goodbye."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.worker_id = clock.new_instance_id("w")
        self.ready = asyncio.Event()
        self._settings = settings
        self._engine = engine
        self._worker: Worker | None = None
        self._fatal = asyncio.Event()
        self._fatal_reason = ""
        self._terminate = asyncio.Event()

    def terminate(self) -> None:
        """Drain and end; safe to call more than once."""
        self._terminate.set()

    async def run(self) -> int:
        """Live until `terminate`, a drain request or the engine's death; the process's exit status."""
        await self._engine.start(self._on_fatal)
        # What was built so far lives as long as the process: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        bus = BusClient(self._bus_options(), on_state=self._on_bus_state)
        self._worker = worker = self._make_worker(bus)
        worker.start()
        await bus.connect_when_possible()
        self.ready.set()
        log.info("ready", worker=self.worker_id, engine=self._engine.description, capacity=self._engine.capacity)
        try:
            return await self._live(worker)
        finally:
            await bus.close()
            await self._stop_engine()

    def _make_worker(self, bus: BusClient) -> Worker:
        settings = self._settings
        identity = Identity(id=self.worker_id, name=settings.name, pool=settings.pool, capacity=settings.capacity)
        return Worker(
            self._engine,
            bus,
            identity=identity,
            metrics=Metrics.served_on(settings.metrics_port),
            frame_interval_s=settings.frame_interval_ms / 1_000,
        )

    def _bus_options(self) -> BusOptions:
        nats = self._settings.nats
        return BusOptions(
            host=nats.host,
            port=nats.port,
            user=nats.user,
            password=nats.secret(),
            name=f"inference.{self.worker_id}",
        )

    async def _live(self, worker: Worker) -> int:
        waits = {asyncio.create_task(event.wait()) for event in (self._fatal, self._terminate, worker.drain_requested)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._fatal.is_set():
            log.info("draining", timeout_s=self._settings.drain_timeout_s)
            drained = asyncio.create_task(worker.drain(self._settings.drain_timeout_s))
            died = asyncio.create_task(self._fatal.wait())
            await asyncio.wait((drained, died), return_when=asyncio.FIRST_COMPLETED)
            if drained.done():
                died.cancel()
                return 0
            drained.cancel()
        log.error("the engine is dead", reason=self._fatal_reason)
        await worker.die()
        return 1

    def _on_bus_state(self, connected: bool) -> None:  # noqa: FBT001 - the bus client's callback
        if self._worker is not None:
            self._worker.on_bus_state(connected)

    def _on_fatal(self, reason: str) -> None:
        self._fatal_reason = self._fatal_reason or reason
        self._fatal.set()

    async def _stop_engine(self) -> None:
        try:
            await asyncio.wait_for(self._engine.stop(), _STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("the engine did not stop in time", timeout_s=_STOP_TIMEOUT_S)


def build_app(settings: Settings) -> App:
    """Wire the worker. Nothing is loaded or connected before `run`.

    Raises:
        ValueError: `engine` names no factory.
    """
    module, _, function = settings.engine.partition(":")
    if not function:
        raise ValueError(f"the engine must be named module:function, got {settings.engine!r}")
    factory = getattr(importlib.import_module(module), function)
    return App(settings, factory(settings))


async def serve(settings: Settings) -> int:
    """Run one worker until a signal ends it; the process's exit status."""
    app = build_app(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.terminate)
    return await app.run()
