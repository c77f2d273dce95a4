"""A worker with the fake engine in this process, and doubles of the scheduler and the gateway on the same bus."""

import asyncio
from dataclasses import dataclass

from libs.testkit.fake_engine import FakeEngine
from libs.testkit.nats_server import NatsServer
from libs.testkit.worker_double import Double
from services.inference.app import App
from services.inference.settings import Settings


@dataclass
class Rig:
    """One worker in this process, and its doubles."""

    app: App
    engine: FakeEngine
    double: Double
    life: "asyncio.Task[int]"

    @property
    def worker(self) -> str:
        """Its instance id."""
        return self.app.worker_id


def settings(server: NatsServer, **more: object) -> Settings:
    """Settings of a worker with the fake engine."""
    fields: dict[str, object] = {
        "nats": server.settings("inference"),
        "engine": "libs.testkit.fake_engine:build",
        "model": "fake",
        "frame_interval_ms": 0,
    }
    return Settings(**(fields | more))  # type: ignore[arg-type] # a test may overwrite any field


async def start_rig(server: NatsServer, **more: object) -> Rig:
    """Start a worker, wired as in production except for the process around it."""
    double = Double(server)
    await double.start()
    engine = FakeEngine()
    app = App(settings(server, **more), lambda _: engine)
    life = asyncio.create_task(app.run())
    await app.ready.wait()
    await double.beat_where(lambda beat: beat.worker == app.worker_id)
    return Rig(app, engine, double, life)


async def stop_rig(rig: Rig) -> None:
    """End the worker if it still lives."""
    rig.app.terminate()
    await rig.life
    await rig.double.stop()
