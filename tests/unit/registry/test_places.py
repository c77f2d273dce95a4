"""Where blobs lie: whatever a tenant is called, its place is its own and safe as a part of a key."""

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.registry import Kind
from services.registry.domain.places import ROOTS, BlobAt, blob_at, blob_key, place_of

DIGEST = "ab" * 32
NASTY = (
    "acme", "acme-2", "ACME", "a.b", "a/b", "../acme", "acme/../other", "_" + "0" * 64, "-acme", "acme-", "a" * 63,
    "a" * 64, "a" * 2_000, "acme\n", "ä", "%2e", "sha256", "tenants", " ",
)  # fmt: skip


def test_the_platform_s_blobs_lie_where_they_always_lay() -> None:
    assert blob_key(place_of("", Kind.MODEL), DIGEST) == f"sha256/ab/{DIGEST}"
    assert blob_key(place_of("acme", Kind.ADAPTER), DIGEST) == f"tenants/acme/sha256/ab/{DIGEST}"


def test_no_two_tenants_share_a_place_and_words_lie_apart_from_weights() -> None:
    named = [(owner, kind) for owner in ("", *NASTY) for kind in (Kind.MODEL, Kind.DATASET)]
    for one, other in combinations(named, 2):
        assert place_of(*one) != place_of(*other), (one, other)


@given(st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]))), st.sampled_from(Kind))
def test_a_key_says_whose_blob_it_is_and_climbs_nowhere(owner: str, kind: Kind) -> None:
    place = place_of(owner, kind)
    key = blob_key(place, DIGEST)
    assert re.fullmatch(r"[a-z0-9_/-]{1,200}", key)
    assert key.partition("/")[0] in ROOTS
    assert blob_at(key) == BlobAt(place, DIGEST)


@pytest.mark.parametrize(
    "key",
    [
        f"sha256/ba/{DIGEST}", f"sha256/ab/{DIGEST[:-1]}", f"sha256/ab/{DIGEST}/x", f"x/sha256/ab/{DIGEST}",
        f"tenants/sha256/ab/{DIGEST}", f"tenants//sha256/ab/{DIGEST}", f"tenants/a/b/sha256/ab/{DIGEST}",
        f"tenants/A/sha256/ab/{DIGEST}", f"sha256/AB/{DIGEST.upper()}", "sha256/zz/notes.txt", "trials/checksum",
    ],
)  # fmt: skip
def test_what_has_another_kind_of_name_is_no_blob(key: str) -> None:
    assert blob_at(key) is None
