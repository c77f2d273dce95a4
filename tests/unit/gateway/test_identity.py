"""API keys: read from lines and told by the identity service, found by header, refused with a sentence that helps."""

import hashlib
from typing import Any

import pytest

from libs.contracts.identity import KeyRecord
from libs.contracts.permissions import GRANTS, PLATFORM_ONLY, Permission, Role
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway.identity import KeyFileError, Keyring, read_keys


def _keys() -> Keyring:
    return Keyring(read_keys(["# our keys", "", "alice:sk-a acme  # may go", "bob:sk-b acme", "sk-c"]))


def test_names_and_tenants_are_read() -> None:
    keys = _keys()
    assert len(keys) == 3
    alice, bob, other = (keys.identify(b"Bearer sk-" + name, b"") for name in (b"a", b"b", b"c"))
    assert (alice.key_id, alice.tenant) == ("alice", "acme")
    assert (bob.key_id, bob.tenant) == ("bob", "acme")
    assert other.tenant == "default"
    assert other.key_id.startswith("key-")
    assert "sk-c" not in other.key_id


def test_a_salt_belongs_to_the_tenant_where_the_server_has_a_key_and_to_the_key_where_not() -> None:
    apart = _keys()
    assert apart.identify(b"Bearer sk-a", b"").cache_salt != apart.identify(b"Bearer sk-b", b"").cache_salt
    shared = Keyring(read_keys(["sk-a acme", "sk-b acme", "sk-c other"], salt_key=b"secret"))
    salts = [shared.identify(b"Bearer " + key, b"").cache_salt for key in (b"sk-a", b"sk-b", b"sk-c")]
    assert salts[0] == salts[1] != salts[2]
    other = Keyring(read_keys(["sk-a acme"], salt_key=b"else"))
    assert other.identify(b"Bearer sk-a", b"").cache_salt != salts[0]


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [(b"", b""), (b"Bearer ", b""), (b"Bearer", b""), (b"sk-a", b""), (b"Basic sk-a", b""), (b"", b"sk-a ")],
)
def test_what_is_not_exactly_a_key_is_refused(authorization: bytes, api_key: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        _keys().identify(authorization, api_key)
    assert caught.value.code == "invalid_api_key"
    assert "sk-a" not in caught.value.message


def test_a_wrong_bearer_is_not_saved_by_the_other_header() -> None:
    with pytest.raises(ServiceError):
        _keys().identify(b"Bearer wrong", b"sk-a")
    assert _keys().identify(b"", b"sk-a").key_id == "alice"


@pytest.mark.parametrize(
    "lines", [[], ["# none"], ["a b c"], ["name:"], [":key"], ["one", "one"], ["x:one", "y:one tenant"]]
)
def test_a_file_that_cannot_be_meant_is_refused(lines: list[str]) -> None:
    with pytest.raises(KeyFileError):
        read_keys(lines)


def _record(name: str, **more: Any) -> KeyRecord:
    fields = {"id": f"key_{name}", "digest": _hex(name), "role": Role.OPERATOR, "tenant": "acme"} | more
    return KeyRecord(**fields)


def _hex(name: str) -> str:
    return hashlib.sha256(f"llmos-{name}".encode()).hexdigest()


def _ask(keys: Keyring, name: str) -> Any:
    return keys.identify(f"Bearer llmos-{name}".encode(), b"")


def test_one_file_makes_members_of_tenants_and_the_other_admins_of_the_platform() -> None:
    member = _keys().identify(b"", b"sk-a")
    assert (member.role, member.reach, member.permissions) == (Role.MEMBER, "acme", GRANTS[Role.MEMBER])
    admin = Keyring(read_keys(["ops:sk-root"], is_platform=True)).identify(b"", b"sk-root")
    assert (admin.role, admin.reach, admin.permissions) == (Role.ADMIN, "", frozenset(Permission))


def test_a_key_of_the_service_may_what_its_record_says() -> None:
    keys = _keys()
    keys.change([_record("op"), _record("few", scopes=(Permission.JOBS_READ,), models=("helpdesk",))])
    operator, few = _ask(keys, "op"), _ask(keys, "few")
    assert (operator.key_id, operator.tenant, operator.is_platform) == ("key_op", "acme", False)
    assert operator.permissions == GRANTS[Role.OPERATOR] - PLATFORM_ONLY
    assert few.permissions == {Permission.JOBS_READ}
    asked = ("helpdesk", "helpdesk@canary", "other", "helpdesk2")
    assert [few.is_allowed(name) for name in asked] == [True, True, False, False]
    assert [operator.is_known(owner) for owner in ("", "acme", "other")] == [True, True, False]
    with pytest.raises(ServiceError) as caught:
        few.require(Permission.JOBS_WRITE)
    assert caught.value.code == "forbidden"


def test_a_revoked_or_expired_key_is_refused_and_one_that_is_changed_is_another() -> None:
    keys = _keys()
    keys.change([_record("one"), _record("two"), _record("old", expires_ms=clock.unix_ms() - 1)])
    keys.change([_record("one", is_revoked=True), _record("two", role=Role.VIEWER)])
    for refused in ("one", "old"):
        with pytest.raises(ServiceError) as caught:
            _ask(keys, refused)
        assert caught.value.code == "invalid_api_key"
    assert _ask(keys, "two").role is Role.VIEWER
    keys.change([_record("one"), _record("old", expires_ms=clock.unix_ms() + 60_000)])
    assert _ask(keys, "one").key_id == "key_one"
    assert _ask(keys, "old").key_id == "key_old"


def test_another_store_of_keys_replaces_the_services_but_not_the_files() -> None:
    keys = _keys()
    keys.change([_record("gone"), _record("stays")])
    keys.replace([_record("stays", role=Role.ADMIN), _record("fresh")])
    with pytest.raises(ServiceError):
        _ask(keys, "gone")
    assert (_ask(keys, "stays").role, _ask(keys, "fresh").key_id) == (Role.ADMIN, "key_fresh")
    assert len(keys) == 5
    assert keys.identify(b"", b"sk-a").key_id == "alice"


def test_the_service_can_neither_change_nor_revoke_a_key_of_a_file() -> None:
    keys = _keys()
    digest = hashlib.sha256(b"sk-a").hexdigest()
    keys.change([_record("x", digest=digest, tenant="")])
    keys.change([_record("x", digest=digest, is_revoked=True), _record("bad", digest="not hex")])
    assert keys.identify(b"", b"sk-a").key_id == "alice"
    assert len(keys) == 3


def test_an_acting_key_asks_for_the_tenant_that_a_request_names_and_may_do_nothing_else() -> None:
    files = {**read_keys(["sk-a acme"], salt_key=b"s"), **read_keys(["trainer:sk-t"], salt_key=b"s", is_acting=True)}
    keys = Keyring(files, salt_key=b"s")
    trainer, alice = keys.identify(b"Bearer sk-t", b""), keys.identify(b"Bearer sk-a", b"")

    acting = keys.acting_for(trainer, b"acme")

    assert (acting.key_id, acting.tenant, acting.reach, acting.cache_salt) == (
        "trainer",
        "acme",
        "acme",
        alice.cache_salt,
    )
    assert acting.is_known("acme")
    assert not acting.is_known("shop")
    assert not trainer.is_known("acme"), "without a name it is nobody's"
    assert acting.permissions == {Permission.INFERENCE_USE}
    assert keys.acting_for(trainer, b"acme") is acting
    assert not alice.is_acting
    for name in (b"", b"Acme", b"a b", b"-a", b"a" * 64, "\u00fc".encode()):
        with pytest.raises(ServiceError, match="x-llmos-tenant"):
            keys.acting_for(trainer, name)


def test_acting_keys_have_distinct_salts_where_the_server_has_none() -> None:
    keys = Keyring(read_keys(["trainer:sk-t"], is_acting=True))
    trainer = keys.identify(b"Bearer sk-t", b"")
    assert keys.acting_for(trainer, b"acme").cache_salt != keys.acting_for(trainer, b"shop").cache_salt
