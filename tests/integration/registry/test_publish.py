"""Publishing and fetching through real servers: the cycle, repeats, rivals, and what is refused."""

import asyncio
import base64
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from libs.contracts.registry import (
    BLOB_BYTES,
    Blob,
    CommitUpload,
    FetchVersion,
    Kind,
    ListVersions,
    Resolve,
    Verify,
    VersionDetails,
    VersionPage,
)
from libs.contracts.versions import digest_of, full_reference
from libs.kit.errors import ServiceError
from libs.kit.objects_checked import CheckedObjects
from libs.kit.publish import Description, scan
from libs.testkit.models import write_adapter, write_model
from libs.testkit.registry import RegistryDesk, RegistryGround, wrong_bytes
from services.registry.app import Registry
from services.registry.domain.places import blob_key
from services.registry.service.reading import BlobReader, Reading


def _content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_what_was_published_is_what_is_fetched(desk: RegistryDesk, model: Path) -> None:
    version = await desk.publish(model, "helpdesk", licence="Apache-2.0", metrics={"exact_match": 0.5})
    assert (version.number, version.kind, version.published_by) == (1, Kind.MODEL, "ann")
    assert version.reference == f"helpdesk@sha256:{version.digest[:12]}"

    for reference in (version.reference, full_reference("helpdesk", version.digest), "helpdesk@1"):
        manifest, blobs = await desk.read(reference)
        assert digest_of(manifest) == version.digest
        files = {file.path: b"".join(blobs[blob.digest] for blob in file.blobs) for file in manifest.files}
        assert files == _content(model)

    details = await desk.call("version_show", Resolve("helpdesk@1"))
    assert isinstance(details, VersionDetails)
    assert details.card == "# Model 0\n"
    assert details.manifest.metrics == {"exact_match": 0.5}


async def test_a_file_of_several_blobs_is_checked_as_a_whole_and_kept_once(desk: RegistryDesk, tmp_path: Path) -> None:
    model = write_model(tmp_path / "big", rows=BLOB_BYTES // 32)
    found = scan(model, Description(name="big", kind=Kind.MODEL))
    assert [len(file.blobs) for file in found.manifest.files if file.path == "model.safetensors"] == [2]
    version = await desk.publish(model, "big")
    _, blobs = await desk.read(version.reference)
    assert {hashlib.sha256(content).hexdigest() for content in blobs.values()} == set(blobs)

    (model / "README.md").write_text("# Better words\n")
    again = scan(model, Description(name="big", kind=Kind.MODEL))
    upload = await desk.begin(again)
    assert [one.blob.size_bytes for one in upload.missing] == [15]


async def test_publishing_the_same_again_changes_nothing(desk: RegistryDesk, model: Path) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    first, second = await desk.begin(found), await desk.begin(found, author="bob")
    assert (first.upload_id, first.missing_total) == (second.upload_id, second.missing_total)
    await desk.send(found, first.missing[:1])
    assert (await desk.begin(found)).missing_total == first.missing_total - 1
    await desk.send(found, first.missing)
    commits = await asyncio.gather(*(desk.call("upload_commit", CommitUpload(first.upload_id)) for _ in range(5)))
    assert len({(version.digest, version.number) for version in commits}) == 1
    assert (await desk.begin(found)).published == commits[0]
    page = await desk.call("version_list", ListVersions(name="helpdesk"))
    assert [version.number for version in page.versions] == [1]
    assert commits[0].published_by == "ann"


async def test_rivals_for_a_name_get_numbers_of_their_own(
    desk: RegistryDesk, ground: RegistryGround, tmp_path: Path
) -> None:
    models = [write_model(tmp_path / f"m{n}", n) for n in range(6)]
    async with ground.registry():
        published = await asyncio.gather(*(desk.publish(model, "helpdesk") for model in models))
    assert sorted(version.number for version in published) == [1, 2, 3, 4, 5, 6]
    assert len({version.digest for version in published}) == 6

    seen, before = list[int](), ""
    while True:
        page = await desk.call("version_list", ListVersions(name="helpdesk", limit=4, before=before))
        assert isinstance(page, VersionPage)
        seen += [version.number for version in page.versions]
        if not (before := page.next):
            break
    assert sorted(seen, reverse=True) == [6, 5, 4, 3, 2, 1]
    assert len(seen) == 6


async def test_a_commit_without_all_blobs_is_refused_and_can_be_completed(desk: RegistryDesk, model: Path) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    await desk.send(found, upload.missing[1:])
    with pytest.raises(ServiceError) as caught:
        await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert caught.value.code == "digest_mismatch"
    assert caught.value.param == upload.missing[0].blob.digest
    with pytest.raises(ServiceError) as unknown:
        await desk.call("version_show", Resolve("helpdesk@1"))
    assert unknown.value.code == "version_not_found"
    assert (await desk.publish(model, "helpdesk")).number == 1


@pytest.mark.parametrize("cut", [False, True], ids=["other bytes", "truncated"])
async def test_wrong_bytes_are_found_and_removed_and_the_retry_completes(
    cut: bool, registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    await desk.send(found, upload.missing)
    victim = max(upload.missing, key=lambda one: one.blob.size_bytes)
    content = found.pieces[victim.blob.digest].read()
    await registry.store.put(blob_key("", victim.blob.digest), content[:-1] if cut else wrong_bytes(victim.blob))
    with pytest.raises(ServiceError) as caught:
        await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert (caught.value.code, caught.value.param) == ("digest_mismatch", victim.blob.digest)
    again = await desk.begin(found)
    assert [one.blob.digest for one in again.missing] == [victim.blob.digest]
    await desk.send(found, again.missing)
    assert (await desk.call("upload_commit", CommitUpload(upload.upload_id))).number == 1


@pytest.mark.parametrize("sent", ["wrong", "short", "long", "none"])
async def test_a_url_takes_its_blob_and_nothing_else(sent: str, desk: RegistryDesk, model: Path) -> None:
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    victim, other = upload.missing[:2]
    content = found.pieces[victim.blob.digest].read()
    evil = {"wrong": wrong_bytes(victim.blob), "short": content[:-1], "long": content + b"x", "none": b""}[sent]
    checksum = base64.b64encode(hashlib.sha256(evil).digest()).decode()
    for headers in (
        victim.headers,
        {},
        dict.fromkeys(victim.headers, checksum),
        other.headers,
        {**victim.headers, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
        {**victim.headers, "content-encoding": "aws-chunked"},
        {"content-md5": base64.b64encode(hashlib.md5(evil, usedforsecurity=False).digest()).decode()},
    ):
        answer = await desk.http.put(victim.url, content=evil, headers=headers)
        assert 400 <= answer.status_code < 500, headers
    assert (await desk.begin(found)).missing_total == upload.missing_total
    # Nor may what is right be replaced, before it is checked or after.
    await desk.send(found, upload.missing)
    for _ in range(2):
        assert (await desk.http.put(victim.url, content=evil, headers=victim.headers)).status_code == 400
        version = await desk.call("upload_commit", CommitUpload(upload.upload_id))
        assert (await desk.call("version_verify", Verify(version.reference))).bad == ()


async def test_where_the_store_has_checked_the_bytes_they_are_not_read_again(
    registry: Registry, desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    reading = BlobReader.read

    async def noted(self: BlobReader, place: str, blob: Blob) -> Reading:
        read.append(blob.digest)
        return await reading(self, place, blob)

    monkeypatch.setattr(BlobReader, "read", noted)
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    smuggled = upload.missing[0].blob
    await desk.send(found, upload.missing[1:])
    # Without a checksum of the store's own there is nothing to believe.
    await registry.store.put(blob_key("", smuggled.digest), found.pieces[smuggled.digest].read())
    await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert read == [smuggled.digest]


async def test_a_store_that_checks_nothing_is_found_out_and_read_back(
    desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckedObjects, "_put_trial", lambda *_: True)
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    upload = await desk.begin(found)
    assert [one.headers for one in upload.missing] == [{}] * upload.missing_total
    victim = max(upload.missing, key=lambda one: one.blob.size_bytes)
    await desk.send(found, tuple(one for one in upload.missing if one != victim))
    await desk.put(victim, wrong_bytes(victim.blob))
    with pytest.raises(ServiceError) as caught:
        await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert (caught.value.code, caught.value.param) == ("digest_mismatch", victim.blob.digest)
    version = await desk.publish(model, "helpdesk")
    assert (await desk.call("version_verify", Verify(version.reference))).bad == ()


async def test_an_adapter_needs_its_base_and_must_fit_it(
    desk: RegistryDesk, model: Path, adapter: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    reference = full_reference("helpdesk", base.digest)
    fitting = await desk.publish(adapter, "helpdesk", Kind.ADAPTER, base=reference)
    assert (fitting.base, fitting.number) == (reference, 2)

    wide = write_adapter(tmp_path / "wide", 1, hidden=24)
    wrong = [
        (adapter, full_reference("helpdesk", "0" * 64)),
        (adapter, full_reference("helpdesk", fitting.digest)),
        (wide, reference),
    ]
    for directory, named in wrong:
        with pytest.raises(ServiceError) as caught:
            await desk.publish(directory, "helpdesk", Kind.ADAPTER, base=named)
        assert caught.value.code == "incompatible_base"
    assert len((await desk.call("version_list", ListVersions())).versions) == 2


async def test_published_rows_cannot_be_changed_even_by_hand(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    await desk.publish(model, "helpdesk")
    for statement in (
        "update registry.versions set published_by = 'eve'",
        "update registry.version_blobs set blob = 'x'",
    ):
        with pytest.raises(Exception, match="never change"):
            async with registry.database.begin() as connection:
                await connection.execute(text(statement))


async def test_unknown_things_are_said_to_be_unknown(desk: RegistryDesk) -> None:
    for operation, request, code in (
        ("version_show", Resolve("helpdesk"), "version_not_found"),
        ("version_show", Resolve("Not A Name"), "invalid_value"),
        ("version_fetch", FetchVersion("helpdesk@champion"), "version_not_found"),
        ("version_fetch", FetchVersion("helpdesk", skip=-1), "invalid_value"),
        ("upload_commit", CommitUpload("0" * 64), "not_found"),
        ("version_list", ListVersions(limit=0), "invalid_value"),
        ("version_list", ListVersions(before="x"), "invalid_value"),
    ):
        with pytest.raises(ServiceError) as caught:
            await desk.call(operation, request)
        assert caught.value.code == code, operation
