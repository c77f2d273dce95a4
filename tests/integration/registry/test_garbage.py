"""Deleting versions and collecting garbage: what is referred to stays, a dry run deletes nothing, the rest goes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from libs.contracts.registry import (
    BlobUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    Deploy,
    Garbage,
    Kind,
    Resolve,
    SetAlias,
    Verify,
)
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, scan
from libs.testkit.models import write_adapter, write_model
from libs.testkit.registry import RegistryDesk, RegistryGround, wrong_bytes
from services.registry.app import Registry
from services.registry.domain.places import blob_key


async def _collect(desk: RegistryDesk, *, dry_run: bool = False, min_age_s: float = 0.0) -> Garbage:
    garbage = await desk.call("garbage_collect", CollectGarbage(dry_run=dry_run, min_age_s=min_age_s))
    assert isinstance(garbage, Garbage)
    return garbage


async def _keys(registry: Registry) -> set[str]:
    return {item.key async for item in registry.store.walk()}


async def test_a_deleted_version_s_blobs_go_in_the_second_look_and_shared_ones_stay(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    kept = await desk.publish(model, "helpdesk")
    (model / "README.md").write_text("# Another card\n")
    gone = await desk.publish(model, "helpdesk")
    before = await _keys(registry)
    await desk.call("version_delete", DeleteVersion(gone.reference, author="ann"))
    assert await _collect(desk, dry_run=True) == Garbage(dry_run=True, kept=4, candidates=1, deleted=0, deleted_bytes=0)
    first = await _collect(desk)
    assert (first.candidates, first.deleted) == (1, 0)
    assert (await _collect(desk, min_age_s=3_600)).deleted == 0
    would = await _collect(desk, dry_run=True)
    assert (would.deleted, would.deleted_bytes) == (1, 15)
    assert await _keys(registry) == before
    second = await _collect(desk)
    assert (second.kept, second.candidates, second.deleted, second.deleted_bytes) == (4, 0, 1, 15)
    assert len(before - await _keys(registry)) == 1
    assert (await desk.call("version_verify", Verify(kept.reference))).bad == ()

    again = await desk.publish(model, "helpdesk")
    assert (again.digest, again.number) == (gone.digest, 3)
    assert (await desk.call("version_verify", Verify(again.reference))).bad == ()


async def test_an_upload_in_progress_is_safe_until_it_expires(ground: RegistryGround, model: Path) -> None:
    async with ground.registry(upload_ttl_s=3_600) as registry, ground.desk() as desk:
        found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
        upload = await desk.begin(found)
        await desk.send(found, upload.missing)
        for _ in range(3):
            assert (await _collect(desk)).deleted == 0
        async with registry.database.begin() as connection:
            await connection.execute(text("update registry.uploads set expires_ms = 1"))
        assert (await _collect(desk)).candidates == 4
        assert (await _collect(desk)).deleted == 4
        with pytest.raises(ServiceError) as caught:
            await desk.call("upload_commit", CommitUpload(upload.upload_id))
        assert caught.value.code == "not_found"
        assert (await desk.publish(model, "helpdesk")).number == 1


async def test_a_blob_announced_between_two_looks_is_seen_for_the_first_time_again(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    version = await desk.publish(model, "helpdesk")
    await desk.call("version_delete", DeleteVersion(version.reference, author="ann"))
    assert (await _collect(desk)).candidates == 4
    await desk.begin(scan(model, Description(name="helpdesk", kind=Kind.MODEL)))
    async with registry.database.begin() as connection:
        await connection.execute(text("update registry.uploads set expires_ms = 1"))
    assert (await _collect(desk)).candidates == 4
    assert (await _collect(desk)).deleted == 4


async def test_objects_that_nobody_announced_go_too_and_foreign_ones_stay(
    registry: Registry, desk: RegistryDesk
) -> None:
    stray = blob_key("", "ab" * 32)
    for key in (stray, "sha256/zz/notes.txt", "elsewhere/file"):
        await registry.store.put(key, b"x")
    assert (await _collect(desk)).candidates == 1
    assert (await _collect(desk)).deleted == 1
    assert await _keys(registry) == {"sha256/zz/notes.txt", "elsewhere/file"}


async def test_what_was_deleted_can_be_had_back_until_it_is_purged(ground: RegistryGround) -> None:
    async with ground.registry(purge_after_s=3_600) as registry, ground.desk() as desk:
        await registry.store.put(blob_key("", "cd" * 32), b"x")
        await _collect(desk)
        assert (await _collect(desk)).deleted == 1
        assert await registry.store.purge_versions("sha256", datetime.now(UTC) + timedelta(hours=1)) == 2


async def test_what_is_used_cannot_be_deleted(desk: RegistryDesk, model: Path, tmp_path: Path) -> None:
    base = await desk.publish(model, "helpdesk")
    adapter = await desk.publish(
        write_adapter(tmp_path / "a"), "helpdesk", Kind.ADAPTER, base=full_reference("helpdesk", base.digest)
    )
    other = await desk.publish(write_model(tmp_path / "other", 9), "helpdesk")
    await desk.call("alias_set", SetAlias(name="helpdesk", alias="stable", target="helpdesk@2", author="ann"))
    await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@3", author="ann"))
    for version, user in ((base, adapter.reference), (adapter, "helpdesk@stable"), (other, "deployment default")):
        with pytest.raises(ServiceError, match=user) as caught:
            await desk.call("version_delete", DeleteVersion(version.reference, author="ann"))
        assert caught.value.code == "version_in_use"
    await desk.call("alias_set", SetAlias(name="helpdesk", alias="stable", target="", author="ann"))
    for version in (adapter, base):
        await desk.call("version_delete", DeleteVersion(version.reference, author="ann"))
    with pytest.raises(ServiceError) as gone:
        await desk.call("version_show", Resolve(base.reference))
    assert gone.value.code == "version_not_found"


async def test_a_blob_that_rots_is_found_and_healed_by_publishing_again(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    version = await desk.publish(model, "helpdesk")
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    rotten, lost = found.manifest.files[0].blobs[0], found.manifest.files[1].blobs[0]
    await registry.store.put(blob_key("", rotten.digest), wrong_bytes(rotten))
    await registry.store.delete(blob_key("", lost.digest))
    assert (await desk.call("version_verify", Verify(version.reference))).bad == tuple(
        sorted((rotten.digest, lost.digest))
    )
    upload = await desk.begin(found)
    assert upload.published is None
    assert {one.blob for one in upload.missing} == {rotten, lost}
    missing: list[BlobUpload] = list(upload.missing)
    await registry.store.put(blob_key("", missing[0].blob.digest), wrong_bytes(missing[0].blob))
    await desk.send(found, tuple(missing[1:]))
    with pytest.raises(ServiceError) as caught:
        await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert caught.value.code == "digest_mismatch"
    assert await desk.publish(model, "helpdesk") == version
    assert (await desk.call("version_verify", Verify(version.reference))).bad == ()
    assert (await desk.begin(found)).published == version
