"""How versions are named and how a manifest becomes a digest; the one place where these rules are written."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from libs.contracts.registry import DEFAULT_ALIAS, Blob, Manifest

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ALIAS: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
SHORT_DIGITS: Final = 12
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SELECTOR: Final = re.compile(r"sha256:(?P<digest>[0-9a-f]{12,64})|(?P<number>[1-9][0-9]{0,8})|(?P<alias>.+)")


class BadReferenceError(ValueError):
    """The text does not name a version."""


class Reference(NamedTuple):
    """A parsed reference; exactly one of the last three is set."""

    name: str
    digest: str = ""
    """12 to 64 hex digits."""
    number: int = 0
    alias: str = ""


def parse_reference(text: str) -> Reference:
    """Read `name`, `name@alias`, `name@sha256:<hex>` or `name@<number>`; a bare name means its champion.

    Raises:
        BadReferenceError: it is none of these.
    """
    name, at, selector = text.partition("@")
    if NAME.fullmatch(name) is None:
        raise BadReferenceError(
            f"`{name[:80]}` is not a model name: lower-case letters, digits, `.`, `_`, `-`; at most 64."
        )
    if not at:
        return Reference(name, alias=DEFAULT_ALIAS)
    found = _SELECTOR.fullmatch(selector)
    if found is None:
        raise BadReferenceError(f"`{text[:120]}` ends in `@`: name an alias, a number or `sha256:<digest>`.")
    if found["digest"]:
        return Reference(name, digest=found["digest"])
    if found["number"]:
        return Reference(name, number=int(found["number"]))
    if ALIAS.fullmatch(selector) is None:
        raise BadReferenceError(
            f"`{selector[:80]}` is not an alias: a lower-case letter, then letters, digits, `-`; at most 32."
        )
    return Reference(name, alias=selector)


def canonical(manifest: Manifest) -> bytes:
    """The manifest's one and only JSON form."""
    return msgspec.json.encode(manifest, order="sorted")


def digest_of(manifest: Manifest) -> str:
    """The version's digest: 64 hex digits."""
    return hashlib.sha256(canonical(manifest)).hexdigest()


def file_digest(blobs: Sequence[Blob]) -> str:
    """The digest of a file that is made of `blobs`, in this order; it says which bytes, without a look at them."""
    if len(blobs) == 1:
        return blobs[0].digest
    return hashlib.sha256("".join(blob.digest for blob in blobs).encode("ascii")).hexdigest()


def short_reference(name: str, digest: str) -> str:
    """`<name>@sha256:<12 hex>`: what a version is served as."""
    return f"{name}@sha256:{digest[:SHORT_DIGITS]}"


def full_reference(name: str, digest: str) -> str:
    """`<name>@sha256:<64 hex>`: what manifests say."""
    return f"{name}@sha256:{digest}"


def is_digest(text: str) -> bool:
    """Whether `text` is a whole SHA-256 in lower-case hex."""
    return _DIGEST.fullmatch(text) is not None
