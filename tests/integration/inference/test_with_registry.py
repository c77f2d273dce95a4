"""Real workers under a real registry: what is published is what answers, through a move of an alias and of a base."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from libs.contracts.inference import WorkerBeat, WorkerState
from libs.contracts.registry import Deploy, Kind, SetAlias, Version
from libs.contracts.versions import full_reference
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.fake_engine import FakeEngine
from libs.testkit.fake_versions import expected
from libs.testkit.models import write_adapter, write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import until
from libs.testkit.worker_double import Double, chat, envelope
from services.inference.app import REPLACE, App
from services.inference.engine import EngineSettings
from services.inference.settings import Settings
from tests.integration.inference.following import said, version_of


@pytest.fixture
def ground(
    nats: NatsServer,
    postgres_server: PostgresServer,
    object_server: ObjectServer,
    database: PostgresSettings,
    bucket: ObjectSettings,
    tmp_path: Path,
) -> RegistryGround:
    return RegistryGround(nats, postgres_server, object_server, database, bucket, tmp_path)


@dataclass
class Workers:
    """Two workers in this process that are started again whenever they ask for it, as their supervisor would see."""

    settings: list[Settings]
    double: Double
    lives: int = 0
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    apps: dict[str, App] = field(default_factory=dict)

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self._live(settings)) for settings in self.settings]

    async def stop(self) -> None:
        for app in self.apps.values():
            app.terminate()
        await asyncio.gather(*self.tasks)

    async def _live(self, settings: Settings) -> None:
        status = REPLACE
        while status == REPLACE:
            self.lives += 1
            app = self.apps[settings.name] = App(settings, _engine)
            status = await app.run()

    def ready(self) -> list[WorkerBeat]:
        """The last beats of the living."""
        last = {beat.worker: beat for beat in self.double.beats}
        return [beat for app in self.apps.values() if (beat := last.get(app.worker_id)) is not None]

    async def serve(self, name: str, version: Version) -> None:
        """Wait until both serve `name` with this version."""

        def does(beat: WorkerBeat) -> bool:
            return beat.state is WorkerState.READY and (name, version.reference) in [
                (model.name, model.version) for model in beat.models
            ]

        await until(
            lambda: len(self.ready()) == 2 and all(does(beat) for beat in self.ready()),
            timeout_s=20,
            what=f"{name} is {version.reference}",
        )

    async def say(self, name: str) -> set[tuple[str, str]]:
        """What both answer to this name, and as which version."""
        found = set()
        for beat in self.ready():
            answer = await self.double.run(beat.worker, envelope(model=name), chat())
            found.add((said(answer), version_of(answer)))
        return found


def _engine(order: EngineSettings) -> FakeEngine:
    return FakeEngine(reference=order.reference, base=Path(order.model))


@asynccontextmanager
async def workers_on(ground: RegistryGround) -> AsyncIterator[Workers]:
    double = Double(ground.nats)
    await double.start()
    settings = [
        Settings(nats=ground.nats.settings("inference"), name=f"w{number}", cache_dir=ground.directory / "cache")
        for number in range(2)
    ]
    workers = Workers(settings, double)
    workers.start()
    try:
        yield workers
    finally:
        await workers.stop()
        await double.stop()


async def test_from_publishing_to_the_answer_and_on_to_the_next_version(ground: RegistryGround, tmp_path: Path) -> None:
    paths = {name: write_model(tmp_path / name, seed) for seed, name in enumerate(("base-1", "base-2"))}
    paths |= {name: write_adapter(tmp_path / name, seed) for seed, name in enumerate(("a1", "a2", "a3"), start=10)}
    async with ground.registry(), ground.desk() as desk, workers_on(ground) as workers:
        first, second = [await desk.publish(paths[name], "helpdesk") for name in ("base-1", "base-2")]
        a1, a2 = [await publish_adapter(desk, paths[name], first) for name in ("a1", "a2")]
        await deploy(desk, first, a1)
        await workers.serve(a1.reference, a1)
        for version in (a1, a2):
            await alias(desk, version)
            await workers.serve("polite", version)
            adapter = paths["a1" if version is a1 else "a2"]
            assert await workers.say("polite") == {(expected(paths["base-1"], adapter), version.reference)}
        assert await workers.say(first.reference) == {(expected(paths["base-1"]), first.reference)}
        a3 = await publish_adapter(desk, paths["a3"], second)
        await deploy(desk, second, a3)
        await workers.serve(a3.reference, a3)
        assert await workers.say(a3.reference) == {(expected(paths["base-2"], paths["a3"]), a3.reference)}
        assert workers.lives == 4, "each worker was replaced once"
        assert {beat.base for beat in workers.ready()} == {second.reference}


async def test_a_store_that_is_away_while_an_adapter_is_to_be_loaded(
    ground: RegistryGround, object_server: ObjectServer, tmp_path: Path
) -> None:
    base_path, path = write_model(tmp_path / "base"), write_adapter(tmp_path / "a")
    async with ground.registry(), ground.desk() as desk, workers_on(ground) as workers:
        base = await desk.publish(base_path, "helpdesk")
        adapter = await publish_adapter(desk, path, base)
        await deploy(desk, base)
        await workers.serve("helpdesk", base)
        object_server.kill()
        try:
            await deploy(desk, base, adapter)
            await until(
                lambda: all(adapter.reference in beat.deployment_error for beat in workers.ready()), timeout_s=30
            )
            assert await workers.say("helpdesk") == {(expected(base_path), base.reference)}
        finally:
            await asyncio.to_thread(object_server.start)
        await workers.serve(adapter.reference, adapter)
        assert {beat.deployment_error for beat in workers.ready()} == {""}
        assert await workers.say(adapter.reference) == {(expected(base_path, path), adapter.reference)}


async def publish_adapter(desk: RegistryDesk, directory: Path, base: Version) -> Version:
    return await desk.publish(directory, "polite", Kind.ADAPTER, base=full_reference(base.name, base.digest))


async def deploy(desk: RegistryDesk, base: Version, *adapters: Version) -> None:
    asked = tuple(full_reference(adapter.name, adapter.digest) for adapter in adapters)
    request = Deploy(pool="default", base=full_reference(base.name, base.digest), adapters=asked, author="ann")
    await desk.call("deployment_declare", request)


async def alias(desk: RegistryDesk, version: Version) -> None:
    target = full_reference(version.name, version.digest)
    await desk.call("alias_set", SetAlias(name=version.name, alias="champion", target=target, author="ann"))
