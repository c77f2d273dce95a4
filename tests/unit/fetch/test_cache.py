"""The cache of versions: shared, whole or absent, bounded, and never emptied under somebody's feet."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from libs.kit.errors import ServiceError
from libs.kit.fetch import Pages
from libs.kit.fetch.cache import Cache
from libs.kit.fetch.part import remove_tree
from libs.kit.fetch.vouching import Vouchers
from libs.testkit.blob_store import BlobStore, Stored
from libs.testkit.platform import ROOT
from libs.testkit.processes import die_with_parent
from libs.testkit.wait import until
from tests.unit.fetch.versions import QUICK, contents, cut, data, names, pages, version


@pytest.fixture
def store() -> Iterator[BlobStore]:
    with BlobStore() as store:
        yield store


def of(store: BlobStore, size_bytes: int, seed: int) -> tuple[Stored, Pages]:
    stored = version(store, cut(store, "model.safetensors", data(size_bytes, seed), 1_000))
    return stored, pages(store, stored)


def cache_at(root: Path, max_bytes: int = 1 << 30, *, rehash: bool = False) -> Cache:
    return Cache(root, max_bytes, rehash=rehash, options=QUICK)


async def test_a_version_is_fetched_once_and_found_again_by_everybody(store: BlobStore, tmp_path: Path) -> None:
    stored, ask = of(store, 5_000, 1)
    leases = await asyncio.gather(*(cache_at(tmp_path).acquire(stored.digest, ask) for _ in range(5)))
    assert len(store.served) == 5, "five blobs, each once"
    assert {lease.directory for lease in leases} == {tmp_path / stored.digest / "files"}
    assert leases[0].manifest == stored.manifest
    assert contents(leases[0].directory) == {"model.safetensors": data(5_000, 1)}
    assert cache_at(tmp_path).digests() == [stored.digest]
    for lease in leases:
        lease.release()
        lease.release()


async def test_a_digest_that_is_none_is_refused(store: BlobStore, tmp_path: Path) -> None:
    _, ask = of(store, 10, 1)
    with pytest.raises(ServiceError):
        await cache_at(tmp_path).acquire("../../etc", ask)
    assert names(tmp_path) == []


async def test_a_version_with_a_wrong_blake3_leaves_nothing_in_the_cache_and_others_with_its_bytes_alone(
    store: BlobStore, tmp_path: Path
) -> None:
    cache = cache_at(tmp_path)
    right, ask = of(store, 1_000, 1)
    file = right.manifest.files[0]
    replace = msgspec.structs.replace
    misstated = version(store, replace(file, blobs=(replace(file.blobs[0], blake3="0" * 64),)))
    for _ in range(2):
        with pytest.raises(ServiceError) as error:
            await cache.acquire(misstated.digest, pages(store, misstated))
        assert error.value.code == "digest_mismatch"
        assert not (tmp_path / misstated.digest / "files").exists()
    assert cache.digests() == []
    held = await cache.acquire(right.digest, ask)
    with pytest.raises(ServiceError):
        await cache.acquire(misstated.digest, pages(store, misstated))
    assert cache.digests() == [right.digest]
    assert contents(held.directory) == {"model.safetensors": data(1_000, 1)}
    held.release()


@pytest.mark.parametrize("states_blake3", [True, False])
async def test_wrong_bytes_from_the_store_are_not_in_the_cache(
    store: BlobStore, tmp_path: Path, *, states_blake3: bool
) -> None:
    cache = cache_at(tmp_path)
    stored = version(store, cut(store, "a", data(3_000), 1_000, states_blake3=states_blake3))
    victim = stored.manifest.files[0].blobs[1].digest
    store.blobs[victim] = bytes(1_000)
    with pytest.raises(ServiceError) as error:
        await cache.acquire(stored.digest, pages(store, stored))
    assert error.value.code == "digest_mismatch"
    assert cache.digests() == []
    store.blobs[victim] = data(3_000)[1_000:2_000]
    lease = await cache.acquire(stored.digest, pages(store, stored))
    assert contents(lease.directory) == {"a": data(3_000)}
    lease.release()


async def test_what_was_used_longest_ago_makes_room(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_at(tmp_path, 3_500)
    first, second, third, fourth = (of(store, 1_000, seed) for seed in (1, 2, 3, 4))
    for stored, ask in (first, second, third, first):
        (await cache.acquire(stored.digest, ask)).release()
    (await cache.acquire(fourth[0].digest, fourth[1])).release()
    assert cache.digests() == sorted(stored.digest for stored, _ in (first, third, fourth))
    assert names(tmp_path) == sorted([*cache.digests(), "locks"]), "nothing is left of what went"


async def test_a_version_in_use_is_never_removed(store: BlobStore, tmp_path: Path) -> None:
    cache, neighbour = cache_at(tmp_path, 2_500), cache_at(tmp_path, 2_500)
    held = await neighbour.acquire(of(store, 1_000, 1)[0].digest, of(store, 1_000, 1)[1])
    for seed in (2, 3):
        stored, ask = of(store, 1_000, seed)
        (await cache.acquire(stored.digest, ask)).release()
    assert contents(held.directory) == {"model.safetensors": data(1_000, 1)}
    large, ask = of(store, 2_000, 4)
    with pytest.raises(ServiceError, match="versions in use take 1000") as error:
        await cache.acquire(large.digest, ask)
    assert error.value.code == "storage_unavailable"
    assert large.digest not in names(tmp_path)
    held.release()
    (await cache.acquire(large.digest, ask)).release()
    assert cache.digests() == [large.digest]


async def test_a_failed_fetch_leaves_no_version_and_a_retry_completes_it(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_at(tmp_path)
    stored, ask = of(store, 5_000, 1)
    store.faults = ["", "", "wrong", "wrong", "wrong", *["wrong"] * 12]
    with pytest.raises(ServiceError) as error:
        await cache.acquire(stored.digest, ask)
    assert error.value.code == "digest_mismatch"
    assert cache.digests() == []
    store.faults = []
    lease = await cache.acquire(stored.digest, ask)
    assert contents(lease.directory) == {"model.safetensors": data(5_000, 1)}
    lease.release()


async def test_leftovers_of_a_failed_fetch_are_the_first_to_go(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_at(tmp_path, 5_500)
    stored, ask = of(store, 5_000, 1)
    store.faults = ["", "", *["404"] * 50]
    with pytest.raises(ServiceError):
        await cache.acquire(stored.digest, ask)
    store.faults = []
    other, ask = of(store, 1_000, 2)
    (await cache.acquire(other.digest, ask)).release()
    assert names(tmp_path) == sorted([other.digest, "locks"])


async def test_a_process_that_died_before_the_marker_is_checked_byte_by_byte(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_at(tmp_path)
    stored, ask = of(store, 5_000, 1)
    lease = await cache.acquire(stored.digest, ask)
    lease.release()
    (tmp_path / stored.digest / "manifest.json").unlink()
    store.served.clear()
    (await cache.acquire(stored.digest, ask)).release()
    assert store.served == [], "what is whole is kept"
    spoil(lease.directory / "model.safetensors")
    (tmp_path / stored.digest / "manifest.json").unlink()
    (await cache.acquire(stored.digest, ask)).release()
    assert contents(lease.directory) == {"model.safetensors": data(5_000, 1)}


async def test_reading_again_finds_what_changed_on_disk(store: BlobStore, tmp_path: Path) -> None:
    stored, ask = of(store, 5_000, 1)
    lease = await cache_at(tmp_path).acquire(stored.digest, ask)
    spoil(lease.directory / "model.safetensors")
    careful = cache_at(tmp_path, rehash=True)
    with pytest.raises(ServiceError, match="another worker uses") as error:
        await careful.acquire(stored.digest, ask)
    assert error.value.code == "digest_mismatch"
    lease.release()
    again = await careful.acquire(stored.digest, ask)
    assert contents(again.directory) == {"model.safetensors": data(5_000, 1)}
    again.release()


class Boots:
    """A machine that can be started again."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "boot_id"
        self.root = directory / "cache"
        self.again("first")

    def again(self, name: str) -> None:
        self._file.write_text(name)

    def cache(self) -> Cache:
        return Cache(self.root, 1 << 30, options=QUICK, vouchers=Vouchers(self._file))


@pytest.fixture
def boots(tmp_path: Path) -> Boots:
    return Boots(tmp_path)


async def test_after_a_crash_of_the_machine_what_was_not_synced_is_read_again(
    store: BlobStore, boots: Boots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vouchers, "sync_later", lambda *_: None)
    stored, ask = of(store, 5_000, 1)
    lease = await boots.cache().acquire(stored.digest, ask)
    lease.release()
    boots.again("second")
    store.served.clear()
    (await boots.cache().acquire(stored.digest, ask)).release()
    assert store.served == [], "what is whole is kept"
    spoil(lease.directory / "model.safetensors")
    boots.again("third")
    (await boots.cache().acquire(stored.digest, ask)).release()
    assert contents(lease.directory) == {"model.safetensors": data(5_000, 1)}


async def test_what_the_disk_holds_is_not_read_again(
    store: BlobStore, boots: Boots, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, ask = of(store, 5_000, 1)
    cache = boots.cache()
    (await cache.acquire(stored.digest, ask)).release()
    await cache.settled()
    boots.again("second")
    store.served.clear()
    monkeypatch.setattr("libs.kit.fetch.cache.differences", lambda *_: pytest.fail("it was read again"))
    (await boots.cache().acquire(stored.digest, ask)).release()
    assert store.served == []


async def test_what_was_true_of_a_directory_is_not_true_of_its_successor(store: BlobStore, boots: Boots) -> None:
    stored, ask = of(store, 5_000, 1)
    cache = boots.cache()
    lease = await cache.acquire(stored.digest, ask)
    lease.release()
    await cache.settled()
    lease.directory.rename(boots.root / "elsewhere")
    lease.directory.mkdir()
    (lease.directory / "model.safetensors").write_bytes(bytes(5_000))
    (await boots.cache().acquire(stored.digest, ask)).release()
    assert contents(lease.directory) == {"model.safetensors": data(5_000, 1)}


async def test_where_boots_cannot_be_told_apart_the_disk_is_waited_for(store: BlobStore, tmp_path: Path) -> None:
    vouchers = Vouchers(tmp_path / "absent")
    assert not vouchers.is_lazy
    stored, ask = of(store, 5_000, 1)
    lease = await Cache(tmp_path / "cache", 1 << 30, options=QUICK, vouchers=vouchers).acquire(stored.digest, ask)
    lease.release()
    assert Vouchers(tmp_path / "absent").holds(lease.directory)


async def test_a_marker_that_a_crash_left_empty_is_made_again(store: BlobStore, boots: Boots) -> None:
    stored, ask = of(store, 5_000, 1)
    (await boots.cache().acquire(stored.digest, ask)).release()
    marker = boots.root / stored.digest / "manifest.json"
    marker.write_bytes(b"")
    store.served.clear()
    (await boots.cache().acquire(stored.digest, ask)).release()
    assert store.served == []
    assert marker.read_bytes()


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"\1" + path.read_bytes()[1:])


PROGRAM = """
import asyncio, sys
from pathlib import Path
import msgspec
from libs.contracts.registry import Fetch
from libs.kit.fetch.cache import Cache
from libs.kit.fetch.part import remove_tree
page = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Fetch)
async def ask(skip):
    return page
async def main():
    lease = await Cache(Path(sys.argv[2]), 1 << 30).acquire(page.digest, ask)
    print(lease.directory, flush=True)
    if sys.argv[3] == "hold":
        await asyncio.Event().wait()
asyncio.run(main())
"""


def started(
    store: BlobStore, stored: Stored, root: Path, then: str = "leave", max_file_bytes: int = 1 << 30
) -> subprocess.Popen[bytes]:
    """Another process that acquires the version."""

    def prepare() -> None:
        die_with_parent()
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    page = root.parent / f"{stored.digest}.page"
    page.write_bytes(msgspec.json.encode(store.fetch(stored.digest, 0)))
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(page), str(root), then],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=prepare,
    )


async def test_two_processes_at_once_fetch_it_once(store: BlobStore, tmp_path: Path) -> None:
    stored, _ = of(store, 20_000, 1)
    store.gate.clear()
    processes = [started(store, stored, tmp_path / "cache") for _ in range(2)]
    await until(lambda: len(store.served) >= 4, timeout_s=30)
    store.gate.set()
    told = {(await asyncio.to_thread(process.communicate))[0].splitlines()[-1] for process in processes}
    assert told == {f"{tmp_path / 'cache' / stored.digest / 'files'}".encode()}
    assert len(store.served) == 20


async def test_kill_9_while_fetching_frees_the_lock_and_keeps_what_came(store: BlobStore, tmp_path: Path) -> None:
    stored, ask = of(store, 20_000, 1)
    store.faults = [""] * 12 + ["stall"]
    process = started(store, stored, tmp_path / "cache")
    await until(lambda: len(store.served) >= 13, timeout_s=30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    cache = cache_at(tmp_path / "cache")
    assert cache.digests() == []
    store.served.clear()
    lease = await cache.acquire(stored.digest, ask)
    assert contents(lease.directory) == {"model.safetensors": data(20_000, 1)}
    assert len(store.served) <= 11
    lease.release()


async def test_a_version_that_another_process_uses_stays_until_that_process_is_dead(
    store: BlobStore, tmp_path: Path
) -> None:
    held, _ = of(store, 1_000, 1)
    process = started(store, held, tmp_path / "cache", "hold")
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    cache = cache_at(tmp_path / "cache", 1_500)
    other, ask = of(store, 1_000, 2)
    with pytest.raises(ServiceError):
        await cache.acquire(other.digest, ask)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (await cache.acquire(other.digest, ask)).release()
    assert cache.digests() == [other.digest]


async def test_a_full_disk_is_a_typed_error_and_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    """The kernel's limit on the size of a file stands for the disk: it refuses in the same places."""
    small, _ = of(store, 10_000, 1)
    large, _ = of(store, 1_000_000, 2)
    root = tmp_path / "cache"
    for stored in (large, small):
        process = started(store, stored, root, "leave", max_file_bytes=100_000)
        told, _ = await asyncio.to_thread(process.communicate)
        if stored is large:
            assert b"ServiceError: No room" in told.splitlines()[-1]
            assert names(root) == ["locks"]
    assert cache_at(root).digests() == [small.digest]


def test_a_version_is_removed_though_its_sync_is_noted_in_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    (version / "files").mkdir(parents=True)
    real = shutil.rmtree

    def noted_meanwhile(directory: Path) -> None:
        monkeypatch.setattr(shutil, "rmtree", real)
        (directory / "synced").write_text("the disk holds it")
        (directory / "files").rmdir()
        directory.rmdir()

    monkeypatch.setattr(shutil, "rmtree", noted_meanwhile)
    remove_tree(version)
    assert not version.exists()
