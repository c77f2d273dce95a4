"""Moving a name from version to version under load, and what the clients saw of it."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec

from deploy.nats.provision import provision
from libs.contracts.inference import WorkerState
from libs.testkit.blob_store import BlobStore, Stored
from libs.testkit.fake_versions import QUESTION
from libs.testkit.nats_server import NatsServer
from libs.testkit.observer import Observer
from libs.testkit.platform import FAKE_ENGINE, Platform
from libs.testkit.registry_double import RegistryDouble, reference
from libs.testkit.wait import until

NAME = "polite"
ADDRESS = "/v1/chat/completions"


@dataclass
class Seen:
    """One answer as a client saw it."""

    status: int
    version: str
    text: str
    before: str
    """Where the name pointed on every worker when the request was sent."""
    after: str
    """Where it may have pointed on some worker when the answer had come."""
    asked: str
    """The messages."""


@dataclass
class Ground:
    """The whole path with workers that follow a deployment, and the registry that the test plays."""

    platform: Platform
    registry: RegistryDouble
    observer: Observer
    http: httpx2.AsyncClient
    settled: str = ""
    """Where the name points on every worker, or has left."""
    newest: str = ""
    """Where it may point on some worker already."""

    async def carried_out(self, revision: int, workers: int, timeout_s: float = 30) -> None:
        """Wait until so many ready workers have carried a revision out."""

        def done() -> int:
            beats = self.observer.beats.values()
            return sum(
                beat.state is WorkerState.READY and beat.revision >= revision and not beat.missing for beat in beats
            )

        await until(lambda: done() >= workers, timeout_s=timeout_s, what=f"revision {revision} on {workers}")

    async def swap(self, base: Stored, old: Stored, new: Stored, engine_args: tuple[str, ...] = ()) -> float:
        """As the registry moves an alias: load, confirm, move, drop the old one; seconds until all is carried out."""
        workers = self.platform.workers
        start_s = time.monotonic()
        await self.carried_out(self._deploy(base, (old, new), old, engine_args), workers)
        self.newest = reference(new)
        await self.carried_out(self._deploy(base, (new,), new, engine_args), workers)
        self.settled = self.newest
        return time.monotonic() - start_s

    def _deploy(self, base: Stored, adapters: tuple[Stored, ...], named: Stored, engine_args: tuple[str, ...]) -> int:
        return self.registry.deploy(base, *adapters, names={NAME: named}, engine_args=engine_args)

    async def ask(self, body: Mapping[str, object]) -> Seen:
        """One request through the gateway."""
        before = self.settled
        response = await self.http.post(ADDRESS, content=msgspec.json.encode(dict(body)))
        text = said(response.text) if response.status_code == httpx2.codes.OK else response.text
        version = response.headers.get("x-llmos-model-version", "")
        return Seen(response.status_code, version, text, before, self.newest, str(body["messages"]))

    @asynccontextmanager
    async def load(self, bodies: list[dict[str, object]]) -> AsyncIterator[list[Seen]]:
        """Each body is asked again and again by a client of its own, until the end of the block."""
        seen: list[Seen] = []
        stop = asyncio.Event()

        async def repeat(body: dict[str, object]) -> None:
            while not stop.is_set():
                seen.append(await self.ask(body))

        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(repeat(body))
            yield seen
            stop.set()


def said(text: str) -> str:
    """What a chat answer says, streamed or not."""
    if not text.startswith("data: "):
        return str(json.loads(text)["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    assert text.rstrip().endswith("[DONE]"), text[-300:]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def questions(clients: int, **more: object) -> list[dict[str, object]]:
    """Bodies for so many clients, every other one streamed, at different paces."""
    return [
        {"model": NAME, "messages": QUESTION, "max_tokens": 16, "stream": bool(number % 2)}
        | ({"user": f"pace-{1 + number}ms"} if number % 3 else {})
        | more
        for number in range(clients)
    ]


def check(seen: list[Seen], texts: Mapping[str, str]) -> None:
    """No failure, no mixture, and no version but those that the name had while the request was under way."""
    assert [one for one in seen if one.status != httpx2.codes.OK] == []
    order = {version: number for number, version in enumerate(texts)}
    for one in seen:
        assert one.text == texts[one.version], one
        assert order[one.before] <= order[one.version] <= order[one.after], one


def figures(waits_s: list[float], seen: list[Seen]) -> str:
    """For the report."""
    cuts = statistics.quantiles(waits_s, n=100)
    return (
        f"{len(waits_s)} swaps under load: {len(seen)} answers, 0 failed, 0 mixed; "
        f"swap latency p50 {cuts[49] * 1_000:.0f} ms, p99 {cuts[98] * 1_000:.0f} ms"
    )


@asynccontextmanager
async def ground(
    directory: Path, *, workers: int = 2, engine: str = FAKE_ENGINE, **environment: str
) -> AsyncIterator[Ground]:
    """Bus, registry double and, not started yet, the platform's processes."""
    server = NatsServer(directory)
    server.start()
    await provision(server.settings("provisioner"), ("default",))
    fields = {"INFERENCE_CACHE_DIR": str(directory / "cache")} | environment
    platform = Platform(directory / "path", server, engine=engine, model="", workers=workers, environment=fields)
    platform.directory.mkdir()
    headers = {"authorization": f"Bearer {platform.api_key}"}
    with BlobStore() as store:
        registry = RegistryDouble(server, store)
        await registry.start()
        try:
            async with (
                Observer(server) as observer,
                httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=60) as http,
            ):
                yield Ground(platform, registry, observer, http)
        finally:
            await asyncio.to_thread(platform.__exit__)
            await registry.stop()
            server.stop()


async def start(stage: Ground) -> None:
    """Start every process here, in the main thread, and wait until the gateway is ready."""
    for index in range(stage.platform.workers):
        stage.platform.start(f"worker-{index}")
    stage.platform.start("scheduler")
    stage.platform.start("gateway")
    try:
        await until(stage.platform.is_ready, timeout_s=stage.platform.start_timeout_s, what="the platform")
    except AssertionError as error:
        raise AssertionError(stage.platform.logs()) from error
