"""Keys are made, known to whoever listens as gateways do, rotated and revoked."""

import hashlib
from typing import Any

import msgspec
import pytest

from libs.contracts.identity import (
    ApiKey,
    Authority,
    CreateKey,
    FindKeys,
    IssuedKey,
    KeyPage,
    KeyRef,
    RevokeKey,
    RotateKey,
)
from libs.contracts.permissions import Permission, Role
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.wait import eventually

DAY_MS = 86_400_000
ID = "key_0123456789abcdef01234567"
CREATE = CreateKey(name="till", role=Role.MEMBER, author="ann", tenant="shop")


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def follows(desk: IdentityDesk, secret: str, *, revoked: bool) -> None:
    """Return when whoever listens as a gateway does knows of the key, and whether it is accepted."""

    async def knows() -> bool | None:
        await desk.follow()
        record = desk.known.get(digest(secret))
        return True if record is not None and record.is_revoked is revoked else None

    await eventually(knows, timeout_s=30, what=f"a key with is_revoked={revoked}")


async def refused(desk: IdentityDesk, operation: str, request: Any, *, code: str, param: str = "") -> ServiceError:
    """The refusal of a call."""
    with pytest.raises(ServiceError) as refusal:
        await desk.call(operation, request)
    assert (refusal.value.code, refusal.value.param or "") == (code, param), refusal.value.message
    return refusal.value


async def test_a_new_key_is_known_to_whoever_listens_and_so_is_its_end(desk: IdentityDesk) -> None:
    await desk.project()

    issued = await desk.key(role=Role.ANNOTATOR, models=("helpdesk",), scopes=(Permission.CONTENT_READ,))

    await follows(desk, issued.secret, revoked=False)
    record = desk.known[digest(issued.secret)]
    assert (record.id, record.role, record.tenant) == (issued.key.id, Role.ANNOTATOR, "shop")
    assert (record.models, record.scopes) == (("helpdesk",), (Permission.CONTENT_READ,))

    revoked = await desk.revoke(issued.key.id)

    assert revoked.revoked_ms
    assert revoked.revision > issued.key.revision
    await follows(desk, issued.secret, revoked=True)
    assert await desk.revoke(issued.key.id) == revoked, "again changes nothing"


async def test_a_rotated_key_is_good_until_the_overlap_ends(desk: IdentityDesk) -> None:
    await desk.project()
    old = await desk.key(role=Role.VIEWER, models=("a", "b"), expires_ms=clock.unix_ms() + 10 * DAY_MS)

    new: IssuedKey = await desk.call("key_rotate", RotateKey(id=old.key.id, author="bob", overlap_s=3_600))

    assert new.secret != old.secret
    rights = ("name", "role", "tenant", "models", "scopes", "limits")
    assert [getattr(new.key, name) for name in rights] == [getattr(old.key, name) for name in rights]
    assert 10 * DAY_MS <= new.key.expires_ms - new.key.created_ms + 60_000 <= 10 * DAY_MS + 60_000, "as long as the old"
    shown: ApiKey = await desk.call("key_show", KeyRef(id=old.key.id))
    assert (shown.rotated_to, shown.revoked_ms) == (new.key.id, 0)
    assert shown.expires_ms == new.key.created_ms + 3_600_000
    await desk.catch_up()
    assert not desk.known[digest(old.secret)].is_revoked
    assert not desk.known[digest(new.secret)].is_revoked
    third: IssuedKey = await desk.call("key_rotate", RotateKey(id=new.key.id, author="bob"))
    await desk.catch_up()
    lines = [desk.known[digest(one.secret)].first_key for one in (old, new, third)]
    assert lines == ["", old.key.id, old.key.id], "limits hold for all of them together"
    refusal = await refused(desk, "key_rotate", RotateKey(id=old.key.id, author="bob"), code="conflict")
    assert new.key.id in refusal.message


async def test_a_key_that_is_rotated_without_overlap_ends_at_once(desk: IdentityDesk) -> None:
    await desk.project()
    old = await desk.key()

    await desk.call("key_rotate", RotateKey(id=old.key.id, author="bob", overlap_s=0))

    await desk.catch_up()
    assert desk.known[digest(old.secret)].is_revoked
    shown: ApiKey = await desk.call("key_show", KeyRef(id=old.key.id))
    assert shown.revoked_ms


async def test_rotating_never_makes_a_key_live_longer_than_it_would(desk: IdentityDesk) -> None:
    await desk.project()
    soon = clock.unix_ms() + 600_000
    old = await desk.key(expires_ms=soon)

    await desk.call("key_rotate", RotateKey(id=old.key.id, author="bob", overlap_s=3_600))

    shown: ApiKey = await desk.call("key_show", KeyRef(id=old.key.id))
    assert shown.expires_ms == soon


async def test_the_same_id_makes_no_second_key(desk: IdentityDesk) -> None:
    await desk.project()
    first = await desk.key(id=ID)

    refusal = await refused(desk, "key_create", msgspec.structs.replace(CREATE, id=ID), code="conflict", param="id")

    assert ID in refusal.message
    assert first.secret not in refusal.message
    page: KeyPage = await desk.call("key_list", FindKeys(tenant="shop"))
    assert [key.id for key in page.keys] == [ID]


async def test_a_change_that_somebody_else_forestalled_is_refused(desk: IdentityDesk) -> None:
    await desk.project()
    key = (await desk.key()).key

    stale = RotateKey(id=key.id, author="bob", expected_revision=key.revision + 1)
    await refused(desk, "key_rotate", stale, code="conflict", param="revision")
    stale_end = RevokeKey(id=key.id, author="bob", expected_revision=key.revision + 1)
    await refused(desk, "key_revoke", stale_end, code="conflict", param="revision")

    assert (await desk.revoke(key.id, expected_revision=key.revision)).revoked_ms


async def test_lists_have_pages_and_leave_out_what_has_ended(desk: IdentityDesk) -> None:
    await desk.project()
    made = [(await desk.key(name=f"n{number}")).key.id for number in range(5)]
    await desk.revoke(made[2])

    found: list[str] = []
    after = ""
    while True:
        page: KeyPage = await desk.call("key_list", FindKeys(tenant="shop", after=after, limit=3))
        found += [key.id for key in page.keys]
        after = page.next
        if not after:
            break
    everything: KeyPage = await desk.call("key_list", FindKeys(tenant="shop", revoked=True))

    assert found == [made[4], made[3], made[1], made[0]]
    assert [key.id for key in everything.keys] == made[::-1]


async def test_what_is_of_another_project_is_not_there(desk: IdentityDesk) -> None:
    await desk.project("shop")
    await desk.project("farm")
    theirs = (await desk.key("shop")).key
    platform = (await desk.key("", role=Role.VIEWER)).key

    for key in (theirs, platform):
        for operation, request in (
            ("key_show", KeyRef(id=key.id, tenant="farm")),
            ("key_revoke", RevokeKey(id=key.id, author="eve", tenant="farm")),
            ("key_rotate", RotateKey(id=key.id, author="eve", tenant="farm")),
        ):
            await refused(desk, operation, request, code="not_found", param="id")
    page: KeyPage = await desk.call("key_list", FindKeys(tenant="farm"))
    assert page.keys == ()


async def test_nobody_gives_a_key_more_than_he_has(desk: IdentityDesk) -> None:
    await desk.project()
    keeper = Authority(permissions=(Permission.KEYS_READ, Permission.KEYS_WRITE), tenant="shop")
    picky = Authority(permissions=tuple(Permission), tenant="shop", models=("helpdesk",))
    admin = await desk.key(role=Role.ADMIN)

    def asked(**more: Any) -> CreateKey:
        return msgspec.structs.replace(CREATE, **more)

    await refused(desk, "key_create", asked(authority=keeper), code="forbidden", param="scopes")
    await refused(desk, "key_create", asked(authority=keeper, tenant=""), code="forbidden")
    rotation = RotateKey(id=admin.key.id, author="eve", tenant="shop", authority=keeper)
    await refused(desk, "key_rotate", rotation, code="forbidden", param="scopes")
    await refused(desk, "key_create", asked(authority=picky), code="forbidden", param="models")
    await refused(desk, "key_create", asked(authority=picky, models=("other",)), code="forbidden", param="models")

    within = asked(role=Role.ADMIN, authority=keeper, scopes=(Permission.KEYS_READ,))
    assert (await desk.call("key_create", within)).key.scopes == (Permission.KEYS_READ,)
    assert (await desk.call("key_create", asked(authority=picky, models=("helpdesk",)))).secret


async def test_a_project_has_so_many_keys_and_no_more(ground: IdentityGround) -> None:
    async with ground.service(keys_per_project=2), ground.desk() as desk:
        await desk.project()
        first = await desk.key()
        await desk.key()

        await refused(desk, "key_create", CREATE, code="conflict", param="tenant")

        await desk.revoke(first.key.id)
        assert (await desk.key()).secret, "there is room again"
