"""What was published when all blobs lay in one place stays readable there, and is nobody else's to publish."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from libs.contracts.registry import CollectGarbage, CommitUpload, Kind, Verify, Version
from libs.contracts.versions import digest_of, full_reference
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.postgres import Database
from libs.kit.publish import Description, Scan, scan
from libs.testkit.registry import RegistryDesk, RegistryGround, wrong_bytes
from services.registry.app import Registry
from services.registry.domain.manifests import blobs_of
from services.registry.domain.places import blob_key
from services.registry.migrations import migrate

OLD = (
    "insert into registry.names (name, last_number, tenant) values (:name, 1, 'acme')",
    """
    insert into registry.versions (
        name, digest, number, kind, base_digest, size_bytes, published_ms, published_by, manifest, tenant
    ) values (:name, :digest, 1, 'model', '', :size_bytes, 1, 'ann', cast(:manifest as jsonb), 'acme')
    """,
    """
    insert into registry.uploads (digest, manifest, author, expires_ms, tenant, owner)
    values (:digest, cast(:manifest as jsonb), 'eve', 9000000000000, 'other', 'other')
    """,
)
BLOB = (
    "insert into registry.blobs (digest, size_bytes, announced_ms, verified_ms) values (:blob, :size_bytes, 1, 1)",
    "insert into registry.version_blobs (digest, blob) values (:digest, :blob)",
)


@pytest.fixture
def old(model: Path) -> Scan:
    return scan(model, Description(name="acme-model", kind=Kind.MODEL))


@pytest_asyncio.fixture(loop_scope="session")
async def registry(ground: RegistryGround, old: Scan) -> AsyncIterator[Registry]:
    """One that finds a version of `acme`, and an upload that somebody else had begun, from before."""
    door, store = Database(ground.database), ObjectStore(ground.bucket)
    await migrate(door, "r0003")
    manifest, digest = old.manifest, digest_of(old.manifest)
    values = {"name": manifest.name, "digest": digest, "manifest": msgspec.json.encode(manifest).decode()}
    async with door.begin() as connection:
        for statement in OLD:
            used = {name: value for name, value in {**values, "size_bytes": 1}.items() if f":{name}" in statement}
            await connection.execute(text(statement), used)
        for blob in blobs_of(manifest):
            await store.put(f"sha256/{blob.digest[:2]}/{blob.digest}", old.pieces[blob.digest].read())
            row = {"blob": blob.digest, "digest": digest, "size_bytes": blob.size_bytes}
            for statement in BLOB:
                used = {name: value for name, value in row.items() if f":{name}" in statement}
                await connection.execute(text(statement), used)
    await door.close()
    async with ground.registry() as app:
        yield app


async def test_what_was_published_before_stays_where_it_lies(
    registry: Registry, desk: RegistryDesk, old: Scan, model: Path
) -> None:
    reference = full_reference("acme-model", digest_of(old.manifest))
    assert (await desk.call("version_verify", Verify(reference, "acme"))).bad == ()
    assert set((await desk.read(reference))[1]) == set(old.pieces)
    # An upload that may have been begun for the sake of others' bytes is forgotten.
    with pytest.raises(ServiceError) as caught:
        await desk.call("upload_commit", CommitUpload(digest_of(old.manifest), "other"))
    assert caught.value.code == "not_found"
    found = scan(model, Description(name="my-model", kind=Kind.MODEL))
    for tenant in ("other", "acme"):
        assert (await desk.begin(found, tenant=tenant)).missing_total == len(found.pieces)
    for _ in range(2):
        garbage = await desk.call("garbage_collect", CollectGarbage(dry_run=False, min_age_s=0))
        assert (garbage.kept, garbage.deleted) == (len(old.pieces), 0)
    assert {item.key async for item in registry.store.walk("sha256")} == {blob_key("", one) for one in old.pieces}


async def test_only_operators_mend_what_lies_in_the_place_that_was_shared(
    registry: Registry, desk: RegistryDesk, old: Scan
) -> None:
    reference = full_reference("acme-model", digest_of(old.manifest))
    rotten = blobs_of(old.manifest)[0]
    await registry.store.put(blob_key("", rotten.digest), wrong_bytes(rotten))
    assert (await desk.call("version_verify", Verify(reference))).bad == (rotten.digest,)
    published = (await desk.begin(old, tenant="acme")).published
    assert isinstance(published, Version)
    upload = await desk.begin(old)
    assert [one.blob for one in upload.missing] == [rotten]
    await desk.send(old, upload.missing)
    assert await desk.call("upload_commit", CommitUpload(upload.upload_id)) == published
    assert (await desk.call("version_verify", Verify(reference))).bad == ()


async def test_the_way_back_is_refused_once_a_tenant_has_a_place(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    await desk.begin(scan(model, Description(name="my-model", kind=Kind.MODEL)), tenant="other")
    with pytest.raises(Exception, match="places of their own"):
        await migrate(registry.database, "base")
