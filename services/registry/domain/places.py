"""Where bytes lie in the bucket: each tenant's blobs in places of their own, the platform's weights at the top.

What people wrote lies apart from weights: who may publish models and not read words could name, as a file of a model,
a blob of a data set.
"""

import hashlib
import re
from typing import Final, NamedTuple

from libs.contracts.registry import Kind, Manifest

ROOTS: Final = ("sha256", "tenants")
"""What every blob's key begins with, as whole path parts."""

WEIGHTS: Final = frozenset({Kind.MODEL, Kind.ADAPTER})
"""What holds no words of people; data sets, reports and checkpoints may."""
_WORDS: Final = "_words"
_PLAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_KEY: Final = re.compile(
    r"(?:tenants/(?P<place>[a-z0-9_-]+)/)?sha256/(?P<first>[0-9a-f]{2})/(?P<digest>(?P=first)[0-9a-f]{62})"
)


class BlobAt(NamedTuple):
    """A blob of one place; the same bytes in another place are another one."""

    place: str
    digest: str


class Placed(NamedTuple):
    """A manifest, and the one place in which all of its blobs lie."""

    manifest: Manifest
    place: str


def place_of(owner: str, kind: Kind) -> str:
    """The place of a tenant's blobs of this kind, safe as a part of a key; empty is that of the platform's weights.

    A name that identity gives stands for itself; any other, as a file of keys may have, becomes `_` and its SHA-256.
    """
    plain = not owner or _PLAIN.fullmatch(owner)
    place = owner if plain else f"_{hashlib.sha256(owner.encode()).hexdigest()}"
    return place if kind in WEIGHTS else place + _WORDS


def blob_key(place: str, digest: str) -> str:
    """The key of a blob."""
    top = f"tenants/{place}/" if place else ""
    return f"{top}sha256/{digest[:2]}/{digest}"


def blob_at(key: str) -> BlobAt | None:
    """The blob that has this key; None if it is not that of a blob."""
    found = _KEY.fullmatch(key)
    return BlobAt(found["place"] or "", found["digest"]) if found else None
