"""Following the identity service: pages, other stores, revisions, and answers that cannot be used."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from libs.contracts.identity import KeyChanges, KeyRecord, KeysRevision, KeysSince
from libs.contracts.permissions import Role
from libs.kit.errors import ServiceError
from services.gateway.identity import Keyring, read_keys
from services.gateway.keys import KeyFollower


class Identity:
    """Answers page after page."""

    def __init__(self, pages: Sequence[KeyChanges | ServiceError]) -> None:
        self.pages = list(pages)
        self.asked: list[tuple[str, int]] = []

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        assert operation == "keys_since"
        assert isinstance(request, KeysSince)
        self.asked.append((request.store, request.revision))
        page = self.pages.pop(0)
        if isinstance(page, ServiceError):
            raise page
        return page


def _page(revision: int, *names: str, store: str = "s1", is_whole: bool = False, has_more: bool = False) -> KeyChanges:
    records = tuple(KeyRecord(id=name, digest=name.encode().hex().zfill(64), role=Role.MEMBER) for name in names)
    return KeyChanges(store=store, revision=revision, is_whole=is_whole, has_more=has_more, records=records)


def _follower(*pages: KeyChanges | ServiceError) -> tuple[KeyFollower, Identity, Keyring]:
    keyring, identity = Keyring(read_keys(["sk-file"])), Identity(pages)
    return KeyFollower(keyring, identity), identity, keyring


async def test_all_keys_are_read_page_by_page_and_then_only_what_changed() -> None:
    follower, identity, keyring = _follower(
        _page(2, "a", "b", is_whole=True, has_more=True), _page(3, "c"), _page(4, "d")
    )
    assert not follower.is_read
    await follower.catch_up()
    assert (follower.is_read, len(keyring)) == (True, 4)
    await follower.catch_up()
    assert len(keyring) == 5
    assert identity.asked == [("", 0), ("s1", 2), ("s1", 3)]


async def test_a_key_is_not_called_unknown_before_all_keys_are_read() -> None:
    follower, _, keyring = _follower(_page(2, "a", is_whole=True))
    with pytest.raises(ServiceError) as early:
        keyring.identify(b"Bearer sk-later", b"")
    assert keyring.identify(b"Bearer sk-file", b"").tenant == "default"
    with pytest.raises(ServiceError) as none_at_all:
        keyring.identify(b"", b"")

    await follower.catch_up()

    with pytest.raises(ServiceError) as late:
        keyring.identify(b"Bearer sk-later", b"")
    codes = [caught.value.code for caught in (early, none_at_all, late)]
    assert codes == ["identity_unavailable", "invalid_api_key", "invalid_api_key"]


async def test_another_store_or_a_whole_answer_replaces_everything_that_was_known() -> None:
    follower, _, keyring = _follower(
        _page(9, "a", "b", is_whole=True), _page(1, "x", store="s2"), _page(5, "y", "z", store="s2", is_whole=True)
    )
    sizes = []
    for _ in range(3):
        await follower.catch_up()
        sizes.append(len(keyring))
    assert sizes == [3, 2, 3]


async def test_while_a_whole_list_is_read_known_keys_stay_good() -> None:
    away = ServiceError("identity_unavailable", "Away.")
    follower, identity, keyring = _follower(
        _page(9, "a", "b", is_whole=True), _page(3, "x", store="s2", is_whole=True, has_more=True), away
    )
    await follower.catch_up()
    with pytest.raises(ServiceError):
        await follower.catch_up()
    assert len(keyring) == 3
    # It begins again from what it knows for certain.
    identity.pages = [_page(4, "x", store="s2", is_whole=True)]
    await follower.catch_up()
    assert (identity.asked[-1], len(keyring)) == (("s1", 9), 2)


async def test_pages_that_do_not_go_on_end() -> None:
    follower, identity, _ = _follower(*[_page(1, "a", has_more=True)] * 9)
    with pytest.raises(ServiceError) as caught:
        await follower.catch_up()
    assert caught.value.code == "internal_error"
    assert len(identity.asked) <= 3


async def test_it_asks_when_another_revision_is_said_and_only_then() -> None:
    follower, _, _ = _follower(_page(5, "a", is_whole=True))
    await follower.catch_up()
    for store, revision, asks in (("s1", 5, False), ("s1", 4, True), ("s1", 6, True), ("s2", 1, True)):
        follower._news.clear()
        follower.hear(KeysRevision(store=store, revision=revision))
        assert follower._news.is_set() is asks, (store, revision)
