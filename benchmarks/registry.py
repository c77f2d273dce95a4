"""`python -m benchmarks.registry`: publishing and loading through the registry beside a plain copy of the same bytes.

Every round makes new chance bytes and visits all ways, in an order that shifts from round to round; what is compared is
the ratio inside a round. Servers are the local stack's own, with its settings: SeaweedFS syncs before it answers.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import obstore
from minio import Minio
from obstore.store import S3Store

from benchmarks.machine import describe_machine, settle
from benchmarks.registry_growth import Sizes, measure_growth
from benchmarks.registry_report import Figures, render
from deploy.nats.provision import provision
from libs.contracts.registry import Fetch, FetchVersion, Kind, Version
from libs.kit.fetch.cache import Cache
from libs.kit.objects import ObjectStore
from libs.kit.publish import Description, publish, scan
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround, registry_process
from libs.testkit.stores import ObjectServer, PostgresServer

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "registry.md"
MIB: Final = 1 << 20
_HIDDEN: Final = 8
_ROW_BYTES: Final = 4 * _HIDDEN


def main() -> None:
    """Measure, and write the page unless this is only a try."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--mib", type=int, default=256, help="size of the model")
    parser.add_argument("--base-mib", type=int, default=500, help="size of the base whose storage is measured")
    parser.add_argument("--adapter-mib", type=int, default=20, help="size of each of its twenty adapters")
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    choice = parser.parse_args()
    sizes = Sizes(base_mib=choice.base_mib, adapter_mib=choice.adapter_mib)
    figures = asyncio.run(_measure(_home(), choice.rounds, choice.mib, sizes))
    text = render(figures, describe_machine(private_network=False))
    if choice.show:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        print(f"results: {PAGE}")


@dataclass
class _Bench:
    """The servers and clients of one run."""

    ground: RegistryGround
    desk: RegistryDesk
    work: Path
    store: S3Store = field(init=False)
    minio: Minio = field(init=False)
    steps_s: dict[str, float] = field(default_factory=dict)
    """How long each step of the last publication took."""
    digests: dict[str, str] = field(default_factory=dict)
    """What was published last, by name."""

    def __post_init__(self) -> None:
        access, secret = self.ground.bucket.keys()
        endpoint = self.ground.bucket.endpoint
        self.store = S3Store(
            self.ground.bucket.bucket,
            endpoint=endpoint,
            access_key_id=access,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True, "timeout": "10m"},
        )
        self.minio = Minio(endpoint.removeprefix("http://"), access, secret, secure=False)

    async def publish(self, source: Path, name: str, kind: Kind = Kind.MODEL, base: str = "") -> Version:
        """The whole way: hashing, sending, checking, committing."""
        began_s = {"hash": time.perf_counter()}

        def begin(step: str, _: int, __: int) -> None:
            began_s.setdefault(step, time.perf_counter())

        found = await asyncio.to_thread(scan, source, Description(name=name, kind=kind, base=base))
        version = await publish(self.desk.client, found, "bench", progress=begin)
        self.digests[name] = version.digest
        ends_s = [*list(began_s.values())[1:], time.perf_counter()]
        self.steps_s = {
            step: round(end_s - start_s, 4) for (step, start_s), end_s in zip(began_s.items(), ends_s, strict=True)
        }
        return version

    async def load(self, name: str, cache: Cache) -> None:
        """Fetch with every byte checked, as a worker does, who knows the digest from its deployment."""
        digest = self.digests[name]

        async def ask(skip: int) -> Fetch:
            page: Fetch = await self.desk.call("version_fetch", FetchVersion(f"{name}@sha256:{digest}", skip))
            return page

        (await cache.acquire(digest, ask)).release()

    async def copy_up(self, source: Path, key: str) -> None:
        """Plain copy by obstore."""
        await obstore.put_async(self.store, key, source)

    async def copy_up_minio(self, source: Path, key: str) -> None:
        """Plain copy by the minio client."""
        await asyncio.to_thread(self.minio.fput_object, self.ground.bucket.bucket, key, str(source))

    async def copy_down(self, key: str, target: Path) -> None:
        """Plain copy by obstore."""
        answer = await obstore.get_async(self.store, key)
        with target.open("wb") as file:
            async for part in answer.stream(min_chunk_size=4 * MIB):
                file.write(part)

    async def copy_down_minio(self, key: str, target: Path) -> None:
        """Plain copy by the minio client."""
        await asyncio.to_thread(self.minio.fget_object, self.ground.bucket.bucket, key, str(target))

    async def stored_bytes(self) -> int:
        """Size of everything below the registry's prefix."""
        store = ObjectStore(self.ground.bucket)
        return sum([found.size_bytes async for found in store.walk()])


def _home() -> Path:
    home = Path(os.environ.get("LLMOS_HOME") or HERE.parent / ".llmos").resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    return home


async def _measure(home: Path, rounds: int, mib: int, sizes: Sizes) -> Figures:
    with tempfile.TemporaryDirectory(dir=home, prefix="registry-") as directory:
        async with _servers(Path(directory)) as bench:
            figures = Figures(mib=mib, load=os.getloadavg()[0])
            for number in range(rounds + 1):
                seconds = await _round(bench, number, mib)
                if number:  # the first one warms everything
                    figures.rounds.append(seconds)
                    figures.steps.append(bench.steps_s)
                    print(f"round {number} of {rounds}: {seconds}", flush=True)
            await measure_growth(bench, figures, sizes)
            return figures


@asynccontextmanager
async def _servers(directory: Path) -> AsyncIterator[_Bench]:
    """NATS, PostgreSQL, SeaweedFS and a registry as processes."""
    places = {name: directory / name for name in ("nats", "postgres", "objects", "work")}
    for place in places.values():
        place.mkdir()
    nats, postgres = NatsServer(places["nats"]), PostgresServer(places["postgres"])
    objects = ObjectServer(places["objects"])
    nats.start()
    try:
        await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(objects.start)
        await provision(nats.settings("provisioner"), ("default",))
        ground = RegistryGround(
            nats, postgres, objects, await postgres.create_database(), objects.settings("registry"), directory
        )
        async with registry_process(ground, steward_s=0.5, announce_s=10), ground.desk() as desk:
            yield _Bench(ground, desk, places["work"])
    finally:
        await asyncio.to_thread(objects.stop)
        await asyncio.to_thread(postgres.stop)
        nats.stop()


async def _round(bench: _Bench, number: int, mib: int) -> dict[str, float]:
    """Seconds of every way, with bytes that nobody has seen before; ups and downs each in an order of this round's."""
    source = write_model(bench.work / f"model-{number}", number, rows=mib * MIB // _ROW_BYTES)
    weights, name = source / "model.safetensors", f"model-{number}"
    ups: dict[str, Callable[[], Awaitable[object]]] = {
        "publish": lambda: bench.publish(source, name),
        "obstore up": lambda: bench.copy_up(weights, f"plain/{name}"),
        "minio up": lambda: bench.copy_up_minio(weights, f"plain-minio/{name}"),
    }
    out = bench.work / "out"
    out.mkdir()
    cache = Cache(out / "cache", 1 << 40)
    downs: dict[str, Callable[[], Awaitable[object]]] = {
        "load": lambda: bench.load(name, cache),
        "obstore down": lambda: bench.copy_down(f"plain/{name}", out / "obstore"),
        "minio down": lambda: bench.copy_down_minio(f"plain-minio/{name}", out / "minio"),
    }
    seconds: dict[str, float] = {}
    for ways in (ups, downs):
        names = list(ways)
        for way in names[number % len(names) :] + names[: number % len(names)]:
            await asyncio.to_thread(settle)
            started_s = time.perf_counter()
            await ways[way]()
            seconds[way] = time.perf_counter() - started_s
    await cache.settled()
    await asyncio.to_thread(_remove, out)
    await asyncio.to_thread(_remove, source)
    for key in (f"plain/{name}", f"plain-minio/{name}"):
        await obstore.delete_async(bench.store, key)
    return {way: round(took, 4) for way, took in seconds.items()}


def _remove(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
