"""Puts schedulers, worker doubles and a gateway double on one server, and clears them away."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.testkit.nats_server import NatsServer
from libs.testkit.processes import die_with_parent
from libs.testkit.wait import until
from services.scheduler.app import Scheduler, build_app
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.settings import Settings
from tests.integration.scheduler.doubles import GatewayDouble, WorkerDouble

ROOT = Path(__file__).resolve().parents[3]


class Stage:
    """What a test has started."""

    def __init__(self, server: NatsServer, gateway: GatewayDouble, log: Path) -> None:
        self.server = server
        self.gateway = gateway
        self.workers: list[WorkerDouble] = []
        self.schedulers: list[Scheduler] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = log

    async def scheduler(self, **settings: object) -> Dispatcher:
        """Start a scheduler in this process; returns its one pool's dispatcher."""
        values = {"nats": self.server.settings("scheduler"), "system": self.server.settings("system")} | settings
        app = build_app(Settings.model_validate(values))
        self.schedulers.append(app)
        await app.start()
        await until(lambda: app.dispatchers[0].matcher.open, what="the scheduler's connection")
        return app.dispatchers[0]

    def scheduler_process(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a scheduler as a process of its own."""
        variables = {
            "PATH": os.environ["PATH"],
            **self.server.environment("SCHEDULER_NATS__", "scheduler"),
            **self.server.environment("SCHEDULER_SYSTEM__", "system"),
            **environment,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.scheduler"],
                cwd=ROOT,
                env=variables,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self.processes.append(process)
        return process

    def said(self, text: str) -> bool:
        """Whether a scheduler process has logged `text`."""
        return self.log.exists() and text in self.log.read_text(encoding="utf-8")

    async def worker(
        self, worker_id: str, *, capacity: int = 2, models: tuple[str, ...] = ("m",), pool: str = "default"
    ) -> WorkerDouble:
        worker = await WorkerDouble(self.server, worker_id, capacity=capacity, models=models, pool=pool).start()
        self.workers.append(worker)
        return worker

    async def known(self, dispatcher: Dispatcher, *workers: WorkerDouble) -> None:
        """Wait until the scheduler has heard of `workers`."""
        await until(lambda: all(worker.id in dispatcher.registry.workers for worker in workers), what="beats")

    async def clear(self) -> None:
        """End everything."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            await asyncio.to_thread(process.wait, 10)
        for app in self.schedulers:
            await app.stop()
        for worker in self.workers:
            await worker.cut()
        await self.gateway.bus.close()


@asynccontextmanager
async def stage(server: NatsServer, *, repairs: bool = False) -> AsyncIterator[Stage]:
    """A stage with a gateway on it."""
    with tempfile.TemporaryDirectory() as directory:
        made = Stage(server, await GatewayDouble(server, repairs=repairs).start(), Path(directory) / "scheduler.log")
        try:
            yield made
        finally:
            await made.clear()
