"""Workers that do nothing but follow their pool's deployment, as fast or as slowly as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from libs.contracts import subjects
from libs.contracts.inference import ServedModel, WorkerBeat, WorkerState
from libs.contracts.registry import Deployment
from libs.kit import clock
from libs.kit.bus import BusClient, Message
from libs.testkit.nats_server import NatsServer

_BEAT_S = 0.1


@dataclass
class Follower:
    """One worker: a process id that changes with each life, a base, and the adapters it has loaded."""

    name: str
    base: str = ""
    worker: str = ""
    state: WorkerState = WorkerState.READY
    revision: int = 0
    loaded: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    error: str = ""
    cannot_load: set[str] = field(default_factory=set)
    """References that its engine does not take."""
    told: Deployment | None = None
    obeys: bool = True
    """Whether it loads what it is told and starts again when asked."""
    asked: int = 0

    def beat(self) -> WorkerBeat:
        """What it says of itself."""
        models = (self.base, *sorted(self.loaded))
        return WorkerBeat(
            worker=self.worker,
            name=self.name,
            pool="default",
            state=self.state,
            capacity=1,
            models=tuple(ServedModel(name=model, version=model) for model in models),
            engine="none",
            revision=self.revision,
            missing=tuple(sorted(self.missing)),
            base=self.base,
            deployment_error=self.error,
        )

    def follow(self) -> None:
        """Load what it is told, if its engine has the right base."""
        if self.told is None or not self.obeys:
            return
        if not self.base:
            self.base = self.told.base.reference
        if self.base == self.told.base.reference:
            wanted = {version.reference for version in self.told.adapters}
            self.loaded, self.missing = wanted - self.cannot_load, wanted & self.cannot_load
            self.error = "; ".join(f"{reference}: no room" for reference in sorted(self.missing))
            self.revision = self.told.revision


class Followers:
    """Workers of the pool `default` on one connection."""

    def __init__(self, bus: BusClient, names: tuple[str, ...]) -> None:
        self.bus = bus
        self.workers = [Follower(name, worker=clock.new_instance_id("w")) for name in names]
        self.told: list[Deployment] = []
        """Every revision that was put into the bucket, once."""
        self.reloads: list[str] = []
        """Names of workers in the order in which they were asked."""
        self.fewest_ready = len(names)
        bus.subscribe(subjects.ALL_DEPLOYMENTS, self._on_told)
        bus.subscribe(subjects.reload("*"), self._on_reload)

    @property
    def now(self) -> Deployment | None:
        """What the bucket says."""
        return self.told[-1] if self.told else None

    def say(self) -> None:
        """Beat, all of them."""
        self.fewest_ready = min(self.fewest_ready, sum(one.state is WorkerState.READY for one in self.workers))
        for one in self.workers:
            one.follow()
            if one.base and one.state is not WorkerState.STOPPED:
                self.bus.publish(subjects.beat(one.worker), msgspec.json.encode(one.beat()))

    def _on_told(self, message: Message) -> None:
        deployment = msgspec.json.decode(message.payload, type=Deployment)
        if not self.told or deployment.revision > self.told[-1].revision:
            self.told.append(deployment)
        for one in self.workers:
            one.told = deployment

    def _on_reload(self, message: Message) -> None:
        worker = message.subject.split(".")[2]
        for one in self.workers:
            if one.worker == worker:
                one.asked += 1
                self.reloads.append(one.name)
                if one.obeys:
                    one.state = WorkerState.STOPPED

    def restart(self, name: str) -> None:
        """Begin the next life of a worker that was asked to reload."""
        one = next(one for one in self.workers if one.name == name)
        one.worker, one.state = clock.new_instance_id("w"), WorkerState.READY
        one.base, one.loaded, one.revision = "", set(), 0


@asynccontextmanager
async def followers(nats: NatsServer, *names: str) -> AsyncIterator[Followers]:
    """Workers that beat ten times a second until the block ends."""
    bus = BusClient(nats.options("inference"))
    await bus.connect()
    crowd = Followers(bus, names)

    async def keep_beating() -> None:
        while True:
            crowd.say()
            await asyncio.sleep(_BEAT_S)

    task = asyncio.create_task(keep_beating())
    try:
        yield crowd
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()
