"""The two digests of a blob: SHA-256 names it, and BLAKE3, where its manifest states one, is the cheaper to check.

Both let go of the interpreter's lock while they work, and neither starts threads (decision 0042).
"""

import hashlib
from typing import NamedTuple

from blake3 import blake3

from libs.contracts.registry import Blob


class Digests(NamedTuple):
    """What a manifest states of the same bytes."""

    sha256: str
    blake3: str


class Digesting:
    """Takes bytes in for both digests, one after the other while they are in the processor's cache."""

    def __init__(self) -> None:
        self._sha256, self._blake3 = hashlib.sha256(), blake3(max_threads=1)

    def update(self, data: bytes | memoryview) -> None:
        """Take in what comes next."""
        self._sha256.update(data)
        self._blake3.update(data)

    def digests(self) -> Digests:
        """Of all that was taken in."""
        return Digests(self._sha256.hexdigest(), self._blake3.hexdigest())


class Check:
    """Whether bytes are those of a blob: by its BLAKE3 where that is stated, else by its SHA-256."""

    def __init__(self, blob: Blob) -> None:
        self._wanted = blob.blake3 or blob.digest
        self._algorithm = "BLAKE3" if blob.blake3 else "SHA-256"
        self._hash: blake3 | hashlib._Hash = blake3(max_threads=1) if blob.blake3 else hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Take in what comes next."""
        self._hash.update(data)

    def holds(self) -> bool:
        """Whether all that was taken in is the blob."""
        return self._hash.hexdigest() == self._wanted

    def found(self) -> str:
        """The digest of what was taken in, and of which kind it is, in words."""
        return f"{self._algorithm} {self._hash.hexdigest()}"
