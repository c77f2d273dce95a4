"""The two digests of a blob, and which of them decides."""

import hashlib

import pytest

from libs.contracts.registry import Blob
from libs.kit.digests import Check, Digesting

OTHER = "0" * 64
SHA256 = hashlib.sha256(b"abc").hexdigest()
BLAKE3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
"""Of `abc`, by the vectors that its authors publish."""


def _holds(blob: Blob, *parts: bytes) -> bool:
    check = Check(blob)
    for part in parts:
        check.update(part)
    return check.holds()


def test_both_digests_are_those_of_the_bytes_however_they_come() -> None:
    hashed = Digesting()
    for part in (b"", b"a", memoryview(b"bc")):
        hashed.update(part)
    assert hashed.digests() == (SHA256, BLAKE3)


def test_without_a_blake3_the_name_decides() -> None:
    assert _holds(Blob(SHA256, 3), b"ab", b"c")
    assert not _holds(Blob(SHA256, 3), b"abd")
    assert not _holds(Blob(OTHER, 3), b"abc")


def test_where_a_blake3_is_stated_it_alone_decides() -> None:
    assert _holds(Blob(SHA256, 3, BLAKE3), b"ab", b"c")
    assert not _holds(Blob(SHA256, 3, BLAKE3), b"abd")
    assert not _holds(Blob(SHA256, 3, OTHER), b"abc")
    assert _holds(Blob(OTHER, 3, BLAKE3), b"abc")


@pytest.mark.parametrize(("stated", "name"), [("", "SHA-256"), (BLAKE3, "BLAKE3")])
def test_what_was_found_says_by_which(stated: str, name: str) -> None:
    check = Check(Blob(SHA256, 3, stated))
    check.update(b"abc")
    assert check.found() == f"{name} {stated or SHA256}"
