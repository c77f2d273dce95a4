"""API keys: read from lines, found by header, refused with a sentence that helps."""

import pytest

from libs.kit.errors import ServiceError
from services.gateway.identity import KeyFileError, Keyring, read_keys


def _keys() -> Keyring:
    return read_keys(["# our keys", "", "alice:sk-a acme  # may go", "bob:sk-b acme", "sk-c"])


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
    shared = read_keys(["sk-a acme", "sk-b acme", "sk-c other"], salt_key=b"secret")
    salts = [shared.identify(b"Bearer " + key, b"").cache_salt for key in (b"sk-a", b"sk-b", b"sk-c")]
    assert salts[0] == salts[1] != salts[2]
    assert read_keys(["sk-a acme"], salt_key=b"else").identify(b"Bearer sk-a", b"").cache_salt != salts[0]


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
