"""Fetching versions: what arrives is what was published, or nothing does."""

import asyncio
import dataclasses
import hashlib
import os
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.docker.prepare import make_certificate
from deploy.local.home import Home
from libs.contracts.registry import Blob, Fetch, ManifestFile
from libs.kit.errors import ServiceError
from libs.kit.fetch import fetch_version, remove_tree
from libs.kit.fetch.verify import differences
from libs.testkit.blob_store import BlobStore
from libs.testkit.platform import ROOT
from libs.testkit.processes import die_with_parent
from libs.testkit.wait import until
from tests.unit.fetch.versions import QUICK, contents, cut, data, names, pages, version


@pytest.fixture
def store() -> Iterator[BlobStore]:
    with BlobStore(page=2) as store:
        yield store


async def test_a_directory_comes_back_as_it_was_published(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    files = {"config.json": b"{}", "empty": b"", "sub/model.safetensors": data(300_000), "twin": b"{}"}
    for name, content in files.items():
        (source / name).write_bytes(content)
    stored = store.publish(source, "helpdesk")
    told: list[tuple[int, int]] = []
    target = tmp_path / "out" / "helpdesk"
    manifest = await fetch_version(
        pages(store, stored), target, digest=stored.digest, options=QUICK, progress=lambda *step: told.append(step)
    )
    assert manifest == stored.manifest
    assert contents(target) == files
    assert told[-1] == (300_002, 300_002)
    assert len(store.served) == 2, "equal blobs travel once, empty files not at all"
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*")} == {0o444, 0o555}
    assert names(target.parent) == ["helpdesk"]
    remove_tree(target)
    assert not target.exists()


async def test_files_of_many_blobs_and_many_pages(store: BlobStore, tmp_path: Path) -> None:
    big, other = data(1_000_001), data(70_000, seed=2)
    shared = big[:100_000] + other
    stored = version(
        store,
        cut(store, "a", big, 100_000),
        cut(store, "b", shared, 100_000),
    )
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": big, "b": shared}
    assert len(store.served) == 12


@pytest.mark.parametrize("states_blake3", [True, False])
@pytest.mark.parametrize("fault", ["wrong", "short", "long", "cut", "503", "500", "404"])
async def test_a_bad_piece_is_thrown_away_and_fetched_again(
    store: BlobStore, tmp_path: Path, fault: str, *, states_blake3: bool
) -> None:
    content = data(5_000)
    stored = version(store, cut(store, "a", content, 1_000, states_blake3=states_blake3))
    store.faults = [fault, "", fault]
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}
    assert len(store.served) == 7


@pytest.mark.parametrize("states_blake3", [True, False])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("wrong", "digest_mismatch"),
        ("short", "digest_mismatch"),
        ("long", "digest_mismatch"),
        ("cut", "storage_unavailable"),
        ("503", "storage_unavailable"),
        ("404", "storage_unavailable"),
    ],
)
async def test_tries_are_bounded_and_nothing_is_visible(
    store: BlobStore, tmp_path: Path, fault: str, code: str, *, states_blake3: bool
) -> None:
    stored = version(store, cut(store, "a", data(5_000), 5_000, states_blake3=states_blake3))
    store.faults = [fault] * 50
    with pytest.raises(ServiceError) as error:
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert error.value.code == code
    assert not (tmp_path / "out").exists()
    assert len(store.served) == (QUICK.wrong_attempts if code == "digest_mismatch" else QUICK.attempts)


async def test_a_version_that_states_no_blake3_or_only_here_and_there_comes_too(
    store: BlobStore, tmp_path: Path
) -> None:
    old = cut(store, "a", data(3_000, seed=1), 1_000, states_blake3=False)
    new = cut(store, "b", data(3_000, seed=2), 1_000)
    for files in ((old,), (old, new)):
        target = tmp_path / f"{len(files)}"
        await fetch_version(pages(store, version(store, *files)), target, options=QUICK)
        assert contents(target) == {file.path: data(3_000, seed) for seed, file in enumerate(files, 1)}


async def test_a_blake3_that_is_not_that_of_the_blob_spoils_the_version_that_states_it(
    store: BlobStore, tmp_path: Path
) -> None:
    right = version(store, cut(store, "a", data(2_000), 2_000))
    blob = right.manifest.files[0].blobs[0]
    misstated = version(store, _file("a", blob.digest, 2_000, (Blob(blob.digest, 2_000, "0" * 64),)))
    with pytest.raises(ServiceError, match=f"misstates it: 2000 of 2000 bytes, BLAKE3 {blob.blake3}") as error:
        await fetch_version(pages(store, misstated), tmp_path / "out", options=QUICK)
    assert error.value.code == "digest_mismatch"
    assert not (tmp_path / "out").exists()
    await fetch_version(pages(store, right), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": data(2_000)}


async def test_a_store_that_falls_silent_is_given_up(store: BlobStore, tmp_path: Path) -> None:
    stored = version(store, cut(store, "a", data(5_000), 5_000))
    store.gate.clear()
    with pytest.raises(ServiceError, match="timed out") as error:
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert error.value.code == "storage_unavailable"


async def test_a_store_that_is_down(store: BlobStore, tmp_path: Path) -> None:
    stored = version(store, cut(store, "a", data(5_000), 5_000))
    ask = pages(store, stored)
    store.__exit__()
    with pytest.raises(ServiceError, match="refused") as error:
        await fetch_version(ask, tmp_path / "out", options=QUICK)
    assert error.value.code == "storage_unavailable"


async def test_a_connection_that_the_store_has_left_costs_no_try(store: BlobStore, tmp_path: Path) -> None:
    content = data(9_000)
    stored = version(store, cut(store, "a", content, 1_000))
    store.faults = ["leave"] * 8
    once = dataclasses.replace(QUICK, attempts=1, parallel=1)
    await fetch_version(pages(store, stored), tmp_path / "out", options=once)
    assert contents(tmp_path / "out") == {"a": content}


async def test_a_store_is_reached_by_https_if_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    make_certificate(home)
    certificate = home.secrets / "bus.pem"
    encryption = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    encryption.load_cert_chain(certificate, home.secrets / "bus.key")
    with BlobStore(encryption=encryption) as store:
        stored = version(store, cut(store, "a", data(9_000), 1_000))
        with pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": data(9_000)}


async def test_urls_that_have_expired_are_asked_for_again(store: BlobStore, tmp_path: Path) -> None:
    content = data(9_000)
    stored = version(store, cut(store, "a", content, 1_000))
    asked: list[int] = []
    ask = pages(store, stored)

    async def expiring(skip: int) -> Fetch:
        asked.append(skip)
        page = await ask(skip)
        if len(asked) == 2:
            store.token = "2"
        return page

    await fetch_version(expiring, tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}


async def test_what_an_interrupted_try_brought_is_not_fetched_again(store: BlobStore, tmp_path: Path) -> None:
    content = data(40_000)
    stored = version(store, cut(store, "a", content, 1_000))
    store.faults = [""] * 20 + ["404"] * 200
    with pytest.raises(ServiceError):
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    store.faults, before = [], len(set(store.served))
    store.served.clear()
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}
    # Those that were on their way when the last try of another one failed are broken off.
    assert len(store.served) < 40 - 20 + QUICK.parallel
    assert before < 40


async def test_bytes_spoilt_on_disk_between_two_tries_are_found(store: BlobStore, tmp_path: Path) -> None:
    content = data(4_000)
    stored = version(store, cut(store, "a", content, 1_000))
    store.faults = ["", "", "", "404", "404", "404", "404", "404", "404"]
    with pytest.raises(ServiceError):
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    part = tmp_path / ".out.part" / "a"
    part.write_bytes(b"\1" + part.read_bytes()[1:])
    store.faults = []
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}


PROGRAM = """
import asyncio, sys
from pathlib import Path
import msgspec
from libs.contracts.registry import Fetch
from libs.kit.fetch import FetchOptions, fetch_version
page = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Fetch)
async def ask(skip):
    return page
asyncio.run(fetch_version(ask, Path(sys.argv[2]), options=FetchOptions(parallel=1)))
"""


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        preexec_fn=die_with_parent,
    )


async def test_kill_9_in_the_middle_leaves_nothing_visible_and_the_next_try_completes(tmp_path: Path) -> None:
    with BlobStore() as store:
        content = data(50_000)
        stored = version(store, cut(store, "a", content, 1_000))
        (tmp_path / "page").write_bytes(msgspec.json.encode(store.fetch(stored.digest, 0)))
        store.faults = [""] * 25 + ["stall"]
        process = started(str(tmp_path / "page"), str(tmp_path / "out"))
        await until(lambda: len(store.served) == 26, timeout_s=30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out").exists()
        store.served.clear()
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
        assert contents(tmp_path / "out") == {"a": content}
        assert len(store.served) == 25


async def test_a_cancelled_fetch_ends_and_can_be_taken_up(store: BlobStore, tmp_path: Path) -> None:
    content = data(30_000)
    stored = version(store, cut(store, "a", content, 1_000))
    store.faults = [""] * 10 + ["stall"] * 4
    fetching = asyncio.create_task(fetch_version(pages(store, stored), tmp_path / "out", options=QUICK))
    await until(lambda: len(store.served) >= 11)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    store.faults = []
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}


async def test_the_second_of_two_fetches_of_one_target_finds_it_taken(store: BlobStore, tmp_path: Path) -> None:
    stored = version(store, cut(store, "a", data(3_000), 1_000))
    both = await asyncio.gather(
        *(fetch_version(pages(store, stored), tmp_path / "out", options=QUICK) for _ in range(2)),
        return_exceptions=True,
    )
    assert [getattr(result, "code", "fetched") for result in both].count("conflict") == 1
    assert len(store.served) == 3
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../../b", "a//b", "./a", "", "a\\b", "c:a", "a\nb", "x/.", "a" * 600]
)
async def test_paths_that_climb_out_or_confuse_are_refused(store: BlobStore, tmp_path: Path, path: str) -> None:
    stored = version(store, cut(store, path, data(100), 100))
    with pytest.raises(ServiceError) as error:
        await fetch_version(pages(store, stored), tmp_path / "deep" / "out", options=QUICK)
    assert error.value.code == "invalid_manifest"
    assert not (tmp_path / "deep").exists()
    assert not store.served


def _file(path: str = "a", digest: str = "0" * 64, size: int = 3, blobs: tuple[Blob, ...] = ()) -> ManifestFile:
    return ManifestFile(path, digest, size, blobs)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ((_file("a", size=0), _file("a", size=0)), "digest_mismatch"),
        ((_file(size=3),), "invalid_manifest"),
        ((_file(size=3, blobs=(Blob("1" * 64, 2),)),), "invalid_manifest"),
        ((_file(size=3, blobs=(Blob("1" * 64, 3),)),), "digest_mismatch"),
        ((_file(size=3, digest="Z" * 64, blobs=(Blob("Z" * 64, 3),)),), "invalid_manifest"),
        ((_file(size=0, digest="1" * 64, blobs=(Blob("1" * 64, 0),)),), "invalid_manifest"),
        ((_file(size=3, digest="1" * 64, blobs=(Blob("1" * 64, 3, "Z" * 64),)),), "invalid_manifest"),
        ((_file(size=3, digest="1" * 64, blobs=(Blob("1" * 64, 3, "2" * 63),)),), "invalid_manifest"),
        (
            (
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3, "2" * 64),)),
                _file("b", "1" * 64, 3, (Blob("1" * 64, 3, "3" * 64),)),
            ),
            "invalid_manifest",
        ),
        (
            (
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3, "2" * 64),)),
                _file("b", "1" * 64, 3, (Blob("1" * 64, 3),)),
            ),
            "invalid_manifest",
        ),
        (
            (
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3),)),
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3),)),
            ),
            "invalid_manifest",
        ),
        (
            (
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3),)),
                _file("a/b", "1" * 64, 3, (Blob("1" * 64, 3),)),
            ),
            "invalid_manifest",
        ),
        (
            (
                _file("a", "1" * 64, 3, (Blob("1" * 64, 3),)),
                _file("b", "2" * 64, 7, (Blob("1" * 64, 4), Blob("3" * 64, 3))),
            ),
            "invalid_manifest",
        ),
    ],
)
async def test_manifests_that_contradict_themselves_are_refused(
    store: BlobStore, tmp_path: Path, files: tuple[ManifestFile, ...], code: str
) -> None:
    with pytest.raises(ServiceError) as error:
        await fetch_version(pages(store, version(store, *files)), tmp_path / "out", options=QUICK)
    assert error.value.code == code
    assert not store.served
    assert not (tmp_path / "out").exists()


async def test_another_version_than_the_one_asked_for_is_refused(store: BlobStore, tmp_path: Path) -> None:
    wanted = version(store, cut(store, "a", b"one", 3))
    other = version(store, cut(store, "a", b"two", 3))

    async def ask(skip: int) -> Fetch:
        return store.fetch(other.digest, skip)

    with pytest.raises(ServiceError) as error:
        await fetch_version(ask, tmp_path / "out", digest=wanted.digest, options=QUICK)
    assert error.value.code == "digest_mismatch"


async def test_a_version_of_the_older_form_whose_file_digest_is_that_of_the_whole_comes_too(
    store: BlobStore, tmp_path: Path
) -> None:
    content = data(4_000)
    made = cut(store, "a", content, 1_000)
    older = ManifestFile("a", hashlib.sha256(content).hexdigest(), made.size_bytes, made.blobs)
    stored = version(store, older)
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert contents(tmp_path / "out") == {"a": content}
    assert differences(tmp_path / "out", stored.manifest) == []


async def test_a_link_planted_in_the_unfinished_directory_is_not_followed(store: BlobStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "a").symlink_to(victim)
    stored = version(store, cut(store, "a", b"new", 3))
    await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert victim.read_text() == "precious"
    assert contents(tmp_path / "out") == {"a": b"new"}


async def test_no_room_is_said_and_cleaned_up(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(28, f"No space left for {fd} {offset} {size}")

    monkeypatch.setattr(os, "posix_fallocate", full)
    stored = version(store, cut(store, "a", data(100), 100))
    with pytest.raises(ServiceError, match="No room") as error:
        await fetch_version(pages(store, stored), tmp_path / "out", options=QUICK)
    assert error.value.code == "storage_unavailable"
    assert names(tmp_path) == []
