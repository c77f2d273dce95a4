"""BLAKE3 beside SHA-256, through real servers: what a manifest misstates harms its own version and nothing else."""

from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from libs.contracts.registry import Blob, CommitUpload, Fetch, FetchVersion, Kind, Manifest, Verify, Version
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.fetch import FetchOptions, Pages, fetch_version
from libs.kit.fetch.cache import Cache
from libs.kit.objects_checked import CheckedObjects
from libs.kit.publish import Description, Scan, scan
from libs.testkit.registry import RegistryDesk, wrong_bytes

QUICK = FetchOptions(pause_s=0.001, max_pause_s=0.002, attempts=4)
replace = msgspec.structs.replace


def _stating(found: Scan, stated: dict[str, str]) -> Scan:
    """The same files, with other BLAKE3s of some blobs, by digest."""
    files = tuple(
        replace(file, blobs=tuple(replace(blob, blake3=stated.get(blob.digest, blob.blake3)) for blob in file.blobs))
        for file in found.manifest.files
    )
    return Scan(replace(found.manifest, files=files), found.pieces)


def _blobs(manifest: Manifest) -> dict[str, Blob]:
    return {blob.digest: blob for file in manifest.files for blob in file.blobs}


def _largest(found: Scan) -> Blob:
    return max(_blobs(found.manifest).values(), key=lambda blob: blob.size_bytes)


def _pages(desk: RegistryDesk, version: Version) -> Pages:
    async def ask(skip: int) -> Fetch:
        page: Fetch = await desk.call("version_fetch", FetchVersion(full_reference(version.name, version.digest), skip))
        return page

    return ask


async def _publish(desk: RegistryDesk, found: Scan) -> Version:
    upload = await desk.begin(found)
    await desk.send(found, upload.missing)
    version: Version = await desk.call("upload_commit", CommitUpload(upload.upload_id))
    return version


async def test_a_misstated_version_is_told_of_and_loads_nowhere_and_others_with_its_bytes_do(
    desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    victim = _largest(found)
    misstated = await _publish(desk, _stating(found, {victim.digest: "0" * 64}))
    verified = await desk.call("version_verify", Verify(misstated.reference))
    assert (verified.bad, verified.misstated) == ((), (victim.digest,))

    right = await desk.begin(found)
    assert right.missing_total == 0, "the blob is right, whatever was said of it"
    version = await _publish(desk, found)
    verified = await desk.call("version_verify", Verify(version.reference))
    assert (verified.bad, verified.misstated) == ((), ())

    cache = Cache(tmp_path / "cache", 1 << 30, options=QUICK)
    with pytest.raises(ServiceError) as caught:
        await cache.acquire(misstated.digest, _pages(desk, misstated))
    assert caught.value.code == "digest_mismatch"
    assert cache.digests() == []
    lease = await cache.acquire(version.digest, _pages(desk, version))
    assert (lease.directory / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    lease.release()
    await cache.settled()


@pytest.mark.parametrize("is_known", [False, True], ids=["sent with it", "there already"])
async def test_where_the_store_checks_nothing_no_manifest_can_prepare_for_other_bytes(
    desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    monkeypatch.setattr(CheckedObjects, "_put_trial", lambda *_: True)
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    victim = _largest(found)
    if is_known:
        await _publish(desk, found)
    evil = {victim.digest: blake3(wrong_bytes(victim)).hexdigest()}
    with pytest.raises(ServiceError) as caught:
        await _publish(desk, _stating(found, evil))
    assert (caught.value.code, caught.value.param) == ("invalid_manifest", victim.digest)
    again = await desk.begin(found)
    assert again.missing_total == 0, "the blob itself is right"
    assert (again.published is not None) is is_known


async def test_what_was_published_without_blake3s_loads_as_before_and_gets_them_when_it_is_pushed_again(
    desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    old = await _publish(desk, _stating(found, dict.fromkeys(_blobs(found.manifest), "")))
    assert (await desk.call("version_verify", Verify(old.reference))).bad == ()
    cache = Cache(tmp_path / "cache", 1 << 30, options=QUICK)
    lease = await cache.acquire(old.digest, _pages(desk, old))
    assert not any(blob.blake3 for blob in _blobs(lease.manifest).values())
    lease.release()
    await cache.settled()

    await fetch_version(_pages(desk, old), tmp_path / "pulled", digest=old.digest, options=QUICK)
    again = scan(tmp_path / "pulled", Description(name="helpdesk", kind=Kind.MODEL))
    assert (await desk.begin(again)).missing_total == 0
    new = await _publish(desk, again)
    assert (new.digest != old.digest, new.number) == (True, 2)
    manifest, contents = await desk.read(new.reference)
    assert _blobs(manifest).keys() == contents.keys()
    assert all(blake3(contents[digest]).hexdigest() == blob.blake3 for digest, blob in _blobs(manifest).items())
