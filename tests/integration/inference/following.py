"""A worker in this process that follows a deployment, with a registry that the test plays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from libs.contracts.inference import Handover, WorkerBeat
from libs.contracts.registry import Kind
from libs.contracts.versions import full_reference
from libs.kit import clock
from libs.testkit.blob_store import BlobStore, Stored
from libs.testkit.fake_engine import FakeEngine
from libs.testkit.fake_versions import expected, make_weights
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry_double import RegistryDouble, reference
from libs.testkit.wait import until
from libs.testkit.worker_double import Answer, Double, chat, envelope
from services.inference.app import App
from services.inference.engine import EngineOrder, EngineSettings
from services.inference.settings import Settings


@dataclass(frozen=True)
class Made:
    """A version and the directories that its answers depend on."""

    stored: Stored
    directories: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The reference under which it is served."""
        return reference(self.stored)

    def text(self, tokens: int = 16) -> str:
        """What it answers to `hello`, started cold."""
        return expected(*self.directories, tokens=tokens)


@dataclass
class Stage:
    """Everything around one worker."""

    directory: Path
    store: BlobStore
    registry: RegistryDouble
    double: Double
    settings: Settings
    orders: list[EngineOrder] = field(default_factory=list)
    engine: FakeEngine | None = None
    app: App | None = None
    life: "asyncio.Task[int] | None" = None

    def base(self, text: str, **hooks: object) -> Made:
        """Publish a base."""
        directory = make_weights(self.directory / f"base-{text}", text, **hooks)
        return Made(self.store.publish(directory, "helpdesk"), (directory,))

    def adapter(self, text: str, base: Made, **hooks: object) -> Made:
        """Publish an adapter of `base`."""
        directory = make_weights(self.directory / f"adapter-{text}", text, **hooks)
        full = full_reference("helpdesk", base.stored.digest)
        return Made(self.store.publish(directory, "polite", Kind.ADAPTER, full), (*base.directories, directory))

    def start(self) -> None:
        """Start the worker; it need not find a deployment yet."""
        self.app = App(self.settings, self._make)
        self.life = asyncio.create_task(self.app.run())

    def _make(self, order: EngineSettings) -> FakeEngine:
        assert isinstance(order, EngineOrder)
        self.orders.append(order)
        self.engine = FakeEngine(reference=order.reference, base=Path(order.model))
        return self.engine

    @property
    def worker(self) -> str:
        """Its instance id."""
        assert self.app is not None
        return self.app.worker_id

    async def beat(self, revision: int) -> WorkerBeat:
        """Wait until it has carried out all of this revision."""
        return await self.double.beat_where(
            lambda beat: beat.worker == self.worker and beat.revision == revision and not beat.missing
        )

    async def offers(self, *names: str) -> WorkerBeat:
        """Wait until its latest beat offers exactly these names."""

        def latest() -> list[str]:
            beats = [beat for beat in self.double.beats if beat.worker == self.worker]
            return [model.name for model in beats[-1].models] if beats else []

        await until(lambda: sorted(latest()) == sorted(names), what=f"an offer of {names}, not {latest()}")
        return next(beat for beat in reversed(self.double.beats) if beat.worker == self.worker)

    async def ask(self, model: str, **more: object) -> Answer:
        """One chat request, to its end."""
        return await self.double.run(self.worker, envelope(model=model, pool=self.registry.pool), chat(**more))

    async def begin(self, model: str, **more: object) -> str:
        """Hand one chat request over; its id."""
        env = envelope(model=model, pool=self.registry.pool)
        assert await self.double.hand_over(self.worker, env, chat(**more)) == Handover(accepted=True)
        return env.request_id

    async def end(self) -> int:
        """Have the worker end; its exit status."""
        assert self.app is not None
        assert self.life is not None
        self.app.terminate()
        return await asyncio.wait_for(self.life, 15)


def said(answer: Answer) -> str:
    """The text of a chat answer, streamed or not."""
    body = answer.body
    if not body.startswith(b"data: "):
        return str(json.loads(body)["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


def version_of(answer: Answer) -> str:
    """Which version the worker says it was."""
    return answer.frames[0].meta.model_version


@asynccontextmanager
async def staged(server: NatsServer, directory: Path, **more: object) -> AsyncIterator[Stage]:
    """A stage in a pool of its own; the worker is not started yet."""
    pool = clock.new_instance_id("p")
    with BlobStore() as store:
        registry, double = RegistryDouble(server, store, pool), Double(server)
        await registry.start()
        await double.start()
        fields: dict[str, object] = {"cache_dir": directory / "cache", "pool": pool, "drain_timeout_s": 5.0} | more
        settings = Settings(nats=server.settings("inference"), **fields)  # type: ignore[arg-type] # as the test wants
        stage = Stage(directory, store, registry, double, settings)
        yield stage
        if stage.life is not None and not stage.life.done():
            await stage.end()
        await double.stop()
        await registry.stop()
