"""What a tenant has not sent it can neither see nor publish, though it knows the digest; each keeps its own bytes."""

from pathlib import Path
from typing import Any

import pytest

from libs.contracts.permissions import Role
from libs.contracts.registry import (
    BeginUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    FetchVersion,
    Kind,
    Resolve,
    Verify,
    Version,
)
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.objects_checked import CheckedObjects
from libs.kit.publish import Description, Scan, scan
from libs.testkit.door import FOREIGN, OWN, add_keys, key_of
from libs.testkit.front import Front, running, settings_for
from libs.testkit.models import write_adapter
from libs.testkit.registry import RegistryDesk, RegistryGround, wrong_bytes
from services.registry.app import Registry


def _found(model: Path, name: str) -> Scan:
    return scan(model, Description(name=name, kind=Kind.MODEL))


async def _refusal(desk: RegistryDesk, operation: str, request: object) -> str:
    with pytest.raises(ServiceError) as caught:
        await desk.call(operation, request)
    return caught.value.code


async def _keys(registry: Registry, top: str) -> set[str]:
    return {item.key async for item in registry.store.walk(top)}


async def test_whoever_knows_a_digest_of_another_learns_nothing_and_gets_nothing(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    own = await desk.publish(model, "acme-model", tenant=OWN)
    mine = _found(model, "my-model")
    upload = await desk.begin(mine, tenant=FOREIGN)
    assert {one.blob.digest for one in upload.missing} == set(mine.pieces)
    assert await _refusal(desk, "upload_commit", CommitUpload(upload.upload_id, FOREIGN)) == "digest_mismatch"
    for reference in (own.reference, full_reference(own.name, own.digest), "acme-model@1", "my-model@1"):
        for operation, request in (
            ("version_show", Resolve(reference, FOREIGN)),
            ("version_fetch", FetchVersion(reference, tenant=FOREIGN)),
            ("version_verify", Verify(reference, FOREIGN)),
            ("version_delete", DeleteVersion(reference, "eve", FOREIGN)),
        ):
            assert await _refusal(desk, operation, request) == "version_not_found", (operation, reference)

    version = await desk.publish(model, "my-model", tenant=FOREIGN)
    assert len(await _keys(registry, "tenants/acme")) == len(await _keys(registry, "tenants/other")) == len(mine.pieces)
    assert not await _keys(registry, "sha256")
    for one in (own, version):
        assert (await desk.call("version_verify", Verify(one.reference))).bad == ()
        assert set((await desk.read(one.reference))[1]) == set(mine.pieces)


async def test_the_platform_s_bytes_are_nobody_s_to_publish_either(desk: RegistryDesk, model: Path) -> None:
    base = await desk.publish(model, "helpdesk")
    found = _found(model, "my-model")
    upload = await desk.begin(found, tenant=OWN)
    assert upload.missing_total == len(found.pieces)
    # And what is a tenant's is not the platform's: its operators send it, too.
    await desk.publish(write_adapter(model.parent / "a"), "voice", Kind.ADAPTER, tenant=OWN, base=_exact(base))
    mine = scan(model.parent / "a", Description(name="other", kind=Kind.ADAPTER, base=_exact(base)))
    assert (await desk.begin(mine)).missing_total == len(mine.pieces)


async def test_two_tenants_may_send_the_same_manifest_and_know_nothing_of_one_another(
    desk: RegistryDesk, model: Path
) -> None:
    found = _found(model, "wanted")
    own = await desk.begin(found, tenant=OWN)
    await desk.send(found, own.missing)
    assert await _refusal(desk, "upload_commit", CommitUpload(own.upload_id, FOREIGN)) == "not_found"
    assert await _refusal(desk, "upload_commit", CommitUpload(own.upload_id)) == "not_found"
    foreign = await desk.begin(found, tenant=FOREIGN)
    assert foreign.missing_total == len(found.pieces)
    await desk.send(found, foreign.missing)
    version = await desk.call("upload_commit", CommitUpload(own.upload_id, OWN))
    assert version.tenant == OWN
    # The name is the first one's; that it is taken cannot be hidden from whoever wants it.
    assert await _refusal(desk, "upload_commit", CommitUpload(foreign.upload_id, FOREIGN)) == "conflict"
    assert (await desk.begin(found, tenant=OWN)).published == version


@pytest.mark.parametrize("owner", ["", OWN])
async def test_who_may_not_read_words_reads_them_by_no_file_of_a_model_and_by_no_card(
    desk: RegistryDesk, model: Path, tmp_path: Path, owner: str
) -> None:
    said = tmp_path / "said"
    said.mkdir()
    (said / "README.md").write_text("# What Ann said\n")
    words = await desk.publish(said, "talk", Kind.DATASET, tenant=owner)
    (model / "README.md").write_text("# What Ann said\n")
    mine = _found(model, "curious")
    upload = await desk.begin(mine, tenant=owner)
    assert {one.blob.digest for one in upload.missing} == set(mine.pieces)
    for kind in (Kind.DATASET, Kind.REPORT):
        # Of these a card is not shown either, so that naming the blob there teaches nothing.
        copied = await desk.publish(said, f"copied-{kind}", kind, tenant=owner)
        for reference in (words.reference, copied.reference):
            shown = await desk.call("version_show", Resolve(reference, owner, weights_only=True))
            assert shown.card == ""
            assert (await desk.call("version_show", Resolve(reference, owner))).card == "# What Ann said\n"
    published = await desk.publish(model, "curious", tenant=owner)
    assert (await desk.call("version_show", Resolve(published.reference, owner, weights_only=True))).card


async def test_within_one_owner_what_was_sent_is_not_sent_again(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    first = await desk.publish(model, "acme-model", tenant=OWN)
    before = await _keys(registry, "tenants")
    for number in range(3):
        (model / "README.md").write_text(f"# Card {number}\n")
        upload = await desk.begin(_found(model, "acme-model"), tenant=OWN)
        assert upload.missing_total == 1
        await desk.publish(model, f"acme-model-{number}", tenant=OWN)
    assert len(await _keys(registry, "tenants")) == len(before) + 3
    assert (await desk.call("version_verify", Verify(first.reference, OWN))).bad == ()


async def test_what_the_platform_publishes_for_a_tenant_lies_with_the_tenant_s(desk: RegistryDesk, model: Path) -> None:
    await desk.publish(model, "acme-model", tenant=OWN)
    found = _found(model, "made-for-acme")
    wanted = BeginUpload(manifest=found.manifest, author="trainer", owner=OWN)
    upload = await desk.call("upload_begin", wanted)
    assert upload.missing_total == 0
    version = await desk.call("upload_commit", CommitUpload(upload.upload_id))
    assert version.tenant == OWN
    assert (await desk.call("version_verify", Verify(version.reference, OWN))).bad == ()


async def test_garbage_of_one_owner_takes_nothing_from_another(
    registry: Registry, desk: RegistryDesk, model: Path
) -> None:
    gone = await desk.publish(model, "acme-model", tenant=OWN)
    kept = [await desk.publish(model, "my-model", tenant=FOREIGN), await desk.publish(model, "helpdesk")]
    count = len(_found(model, "x").pieces)
    await desk.call("version_delete", DeleteVersion(gone.reference, "ann", OWN))
    looks = [await desk.call("garbage_collect", CollectGarbage(dry_run=False, min_age_s=0)) for _ in range(2)]
    assert [(look.kept, look.candidates, look.deleted) for look in looks] == [
        (2 * count, count, 0),
        (2 * count, 0, count),
    ]
    assert not await _keys(registry, "tenants/acme")
    for version in kept:
        assert (await desk.call("version_verify", Verify(version.reference))).bad == ()
    upload = await desk.begin(_found(model, "acme-model"), tenant=OWN)
    assert upload.missing_total == count, "another's bytes are not given to whoever has deleted its own"


async def test_an_url_of_one_owner_writes_into_no_bytes_of_another(
    desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store that takes whatever comes.
    monkeypatch.setattr(CheckedObjects, "_put_trial", lambda *_: True)
    own = await desk.publish(model, "acme-model", tenant=OWN)
    upload = await desk.begin(_found(model, "my-model"), tenant=FOREIGN)
    for one in upload.missing:
        await desk.put(one, wrong_bytes(one.blob))
    assert await _refusal(desk, "upload_commit", CommitUpload(upload.upload_id, FOREIGN)) == "digest_mismatch"
    assert (await desk.call("version_verify", Verify(own.reference))).bad == ()
    assert set((await desk.read(own.reference))[1]) == set(_found(model, "x").pieces)


async def _ask(front: Front, tenant: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    headers = {"authorization": f"Bearer {key_of(Role.ADMIN, tenant)}"}
    answer = await front.http.request(method, f"/admin/v1{path}", json=body, headers=headers)
    return answer.status_code, answer.json()


async def test_the_same_over_rest(desk: RegistryDesk, ground: RegistryGround, model: Path) -> None:
    own = await desk.publish(model, "acme-model", tenant=OWN)
    async with running(settings_for(ground.nats, ground.directory, identity=True)) as front:
        add_keys(front.gateway)
        status, shown = await _ask(front, OWN, "GET", f"/versions/{own.reference}")
        assert (status, shown["version"]["digest"]) == (200, own.digest)
        manifest = {**shown["manifest"], "name": "my-model"}
        status, upload = await _ask(front, FOREIGN, "POST", "/uploads", {"manifest": manifest})
        assert (status, upload["missing_total"]) == (200, len(_found(model, "x").pieces))
        status, refused = await _ask(front, FOREIGN, "POST", f"/uploads/{upload['upload_id']}/commit")
        assert (status, refused["code"]) == (422, "digest_mismatch")
        for path in (f"/versions/{own.reference}", f"/versions/{own.reference}/fetch", "/versions/my-model@1"):
            assert (await _ask(front, FOREIGN, "GET", path))[0] == 404, path
        status, again = await _ask(front, OWN, "POST", "/uploads", {"manifest": shown["manifest"]})
        assert (status, again["missing_total"]) == (200, 0)


def _exact(version: Version) -> str:
    return full_reference(version.name, version.digest)
