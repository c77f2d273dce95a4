"""Publishing a directory: what it becomes, what is sent, what is refused, and what a bad day costs."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from blake3 import blake3

from libs.contracts import registry as contract
from libs.contracts.registry import Kind, Version
from libs.contracts.versions import canonical, digest_of
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, Options, Scan, manifest, publish, scan
from tests.unit.kit.publishing_doubles import Registry, Store

CUT = 1_000
QUICK = Options(pause_s=0.001, most_pause_s=0.002, attempts=4)
MODEL = Description(name="helpdesk", kind=Kind.MODEL, licence="Apache-2.0", metrics={"f1": 0.5, "em": 0.25})


@pytest.fixture(autouse=True)
def _small_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "BLOB_BYTES", CUT)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that loads nowhere but has the right shape: 3 weights blobs, two of them equal, and small files."""
    directory = tmp_path / "model"
    (directory / "original").mkdir(parents=True)
    twice = os.urandom(CUT)
    header = b'{"w":{"dtype":"U8","shape":[2400],"data_offsets":[0,2400]}}'
    weights = len(header).to_bytes(8, "little") + header
    rest = os.urandom(CUT - len(weights))
    (directory / "model.safetensors").write_bytes(weights + rest + twice + twice[: 2400 - len(rest) - CUT])
    (directory / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    (directory / "tokenizer.json").write_text("{}")
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    (directory / "original" / "merges.txt").write_text("")
    (directory / ".cache").mkdir()
    (directory / ".cache" / "lock.json").write_text("x")
    return directory


@pytest_asyncio.fixture(loop_scope="session")
async def store() -> AsyncIterator[Store]:
    async with Store() as store:
        yield store


@pytest.fixture(params=[True, False], ids=["bound", "unbound"])
def registry(store: Store, request: pytest.FixtureRequest) -> Registry:
    return Registry(store, is_bound=request.param)


async def _publish(registry: Registry, found: Scan) -> Version:
    return await publish(registry, found, "alice", options=QUICK)


def test_the_manifest_says_exactly_what_is_there(model: Path) -> None:
    made = scan(model, MODEL).manifest

    assert [file.path for file in made.files] == [
        "README.md", "config.json", "model.safetensors", "original/merges.txt", "tokenizer.json",
    ]  # fmt: skip
    for file in made.files:
        content = (model / file.path).read_bytes()
        assert file.size_bytes == len(content)
        pieces = [content[at : at + CUT] for at in range(0, len(content), CUT)]
        assert [(blob.digest, blob.size_bytes, blob.blake3) for blob in file.blobs] == [
            (hashlib.sha256(piece).hexdigest(), len(piece), blake3(piece).hexdigest()) for piece in pieces
        ]
        made_of = "".join(blob.digest for blob in file.blobs).encode()
        assert file.digest == (file.blobs[0].digest if len(file.blobs) == 1 else hashlib.sha256(made_of).hexdigest())
    assert (made.licence, list(made.metrics)) == ("Apache-2.0", ["em", "f1"])
    assert digest_of(made) == digest_of(scan(model, MODEL).manifest)


@pytest.mark.parametrize("room", [0, -1])
def test_a_manifest_that_is_too_long_with_its_blake3s_goes_without(
    room: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = scan(model, MODEL).manifest
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", len(canonical(long)) + room)
    found = scan(model, MODEL)

    assert all(bool(blob.blake3) is (room == 0) for file in found.manifest.files for blob in file.blobs)
    assert [file.digest for file in found.manifest.files] == [file.digest for file in long.files]


def test_the_cut_of_production_is_that_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert vars(manifest)["BLOB_BYTES"] == contract.BLOB_BYTES


async def test_a_published_directory_is_all_there_and_is_not_sent_again(
    model: Path, registry: Registry, store: Store
) -> None:
    seen: list[tuple[str, int, int]] = []
    found = scan(model, MODEL, progress=lambda *what: seen.append(what))
    version = await publish(registry, found, "alice", options=QUICK, progress=lambda *what: seen.append(what))

    assert (version.published_by, version.digest) == ("alice", digest_of(found.manifest))
    for file in found.manifest.files:
        assert b"".join(store.objects[blob.digest] for blob in file.blobs) == (model / file.path).read_bytes()
    for step in ("hash", "upload"):
        numbers = [(done, total) for name, done, total in seen if name == step]
        assert numbers == sorted(numbers)
        assert numbers[-1][0] == numbers[-1][1] > 0
    sent = len(store.puts)
    assert (await _publish(registry, found)).digest == version.digest
    assert len(store.puts) == sent


async def test_only_what_is_new_is_sent(model: Path, registry: Registry, store: Store) -> None:
    await _publish(registry, scan(model, MODEL))
    sent = len(store.puts)
    (model / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    await _publish(registry, scan(model, MODEL))

    assert len(store.puts) == sent + 1


async def test_pages_are_asked_for_until_nothing_is_missing(model: Path, store: Store) -> None:
    registry = Registry(store, page=2)
    version = await _publish(registry, scan(model, MODEL))

    assert version.digest in registry.versions
    assert registry.calls.count("upload_begin") >= 3


async def test_several_blobs_travel_at_once_but_not_more_than_told(
    tmp_path: Path, registry: Registry, store: Store
) -> None:
    store.together = asyncio.Barrier(3)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "rows.jsonl").write_bytes(os.urandom(29 * CUT))
    await publish(registry, scan(tmp_path, Description(name="x", kind=Kind.DATASET)), "a", options=Options(parallel=3))

    assert (store.most_at_once, len(store.puts)) == (3, 30)


@pytest.mark.parametrize("fault", [500, 503, 429, 400, "cut"])
async def test_a_storage_that_stumbles_is_tried_again(
    fault: int | str, model: Path, registry: Registry, store: Store
) -> None:
    store.faults = [fault] * 3
    seen: list[tuple[str, int, int]] = []
    found = scan(model, MODEL)
    version = await publish(registry, found, "alice", options=QUICK, progress=lambda *what: seen.append(what))

    assert version.digest in registry.versions
    sent = [(done, total) for step, done, total in seen if step == "upload"]
    assert sent[-1][0] == sent[-1][1], "what had to be sent again was taken back"
    assert max(done for done, _ in sent) == sent[-1][1]


async def test_a_storage_that_stays_down_is_named_and_what_was_sent_is_kept(
    model: Path, registry: Registry, store: Store
) -> None:
    found = scan(model, MODEL)
    store.faults = [200, 200, *[503] * 1_000]
    with pytest.raises(ServiceError) as failed:
        await _publish(registry, found)
    assert failed.value.code == "storage_unavailable"
    assert "503" in failed.value.message
    assert not registry.versions
    kept = len(store.objects)
    assert kept >= 1

    store.faults, store.puts = [], []
    assert (await _publish(registry, found)).digest in registry.versions
    blobs = {blob.digest for file in found.manifest.files for blob in file.blobs}
    assert len(store.puts) == len(blobs) - kept


async def test_urls_that_expire_on_the_way_are_asked_for_again(model: Path, store: Store) -> None:
    tokens = iter(["0"] * 5 + ["1"] * 100)
    registry = Registry(store, token=lambda: next(tokens))

    assert (await _publish(registry, scan(model, MODEL))).digest in registry.versions


async def test_urls_that_never_work_end_the_try(model: Path, store: Store) -> None:
    with pytest.raises(ServiceError) as failed:
        await _publish(Registry(store, token=lambda: "0"), scan(model, MODEL))
    assert failed.value.code == "storage_unavailable"


@pytest.mark.parametrize("fault", ["registry_unavailable", "!registry_unavailable", "storage_unavailable"])
@pytest.mark.parametrize("operation", ["upload_begin", "upload_commit"])
async def test_a_registry_that_is_away_for_a_moment_does_not_matter(
    operation: str, fault: str, model: Path, registry: Registry
) -> None:
    registry.faults[operation] = [fault, fault]
    assert (await _publish(registry, scan(model, MODEL))).digest in registry.versions


async def test_a_refusal_is_not_repeated(model: Path, registry: Registry) -> None:
    registry.faults["upload_begin"] = ["incompatible_base"] * 9
    with pytest.raises(ServiceError, match="as the test wants it"):
        await _publish(registry, scan(model, MODEL))
    assert registry.calls == ["upload_begin"]


async def test_a_file_that_changes_before_it_is_sent_is_noticed(model: Path, registry: Registry) -> None:
    found = scan(model, MODEL)
    (model / "config.json").write_text('{"architectures": ["EvilForCausalLM"]}')
    with pytest.raises(ServiceError, match=r"config\.json changed") as failed:
        await _publish(registry, found)
    assert failed.value.code == "digest_mismatch"
    assert not registry.versions


@pytest.mark.parametrize("change", ["grow", "shrink", "vanish"])
def test_a_file_that_changes_while_it_is_hashed_is_noticed(change: str, model: Path) -> None:
    weights = model / "model.safetensors"

    def meddle(_: str, done: int, __: int) -> None:
        if done and change == "grow":
            with weights.open("ab") as file:
                file.write(b"x")
        elif done and change == "shrink":
            os.truncate(weights, 0)
        elif done:
            weights.unlink(missing_ok=True)

    with pytest.raises(ServiceError) as failed:
        scan(model, MODEL, progress=meddle)
    assert failed.value.code == "digest_mismatch"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"x"),
        ("weights.PT", b"x"),
        ("modeling_evil.py", b"x"),
        ("config.json", b'{"auto_map": {"AutoModel": "evil.Model"}}'),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
        ("notes.txt", b"\x80\x04pickle"),
    ],
)
def test_what_could_run_is_refused_before_anything_is_sent(name: str, content: bytes, model: Path) -> None:
    (model / name).write_bytes(content)
    with pytest.raises(ServiceError, match=name.replace(".", r"\.")) as failed:
        scan(model, MODEL)
    assert failed.value.code == "unsafe_file"


def test_odd_entries_are_refused(model: Path, tmp_path: Path) -> None:
    os.mkfifo(model / "pipe.json")
    with pytest.raises(ServiceError, match="no ordinary file"):
        scan(model, MODEL)
    (model / "pipe.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    (model / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServiceError, match="link to a directory"):
        scan(model, MODEL)
    (model / "linked").unlink()
    (model / "gone.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ServiceError, match="cannot be read"):
        scan(model, MODEL)


def test_links_to_files_are_followed_as_in_a_hugging_face_cache(model: Path, tmp_path: Path) -> None:
    plain = digest_of(scan(model, MODEL).manifest)
    (model / "config.json").rename(tmp_path / "blob")
    (model / "config.json").symlink_to(tmp_path / "blob")
    assert digest_of(scan(model, MODEL).manifest) == plain


def test_an_empty_or_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as empty:
        scan(tmp_path, MODEL)
    assert empty.value.code == "invalid_manifest"
    with pytest.raises(ServiceError) as missing:
        scan(tmp_path / "nowhere", MODEL)
    assert missing.value.code == "not_found"
