"""The digest of a whole file, computed from what is on disk as far as its blobs have come."""

import hashlib
import threading

from libs.contracts.registry import ManifestFile
from libs.kit.errors import ServiceError
from libs.kit.fetch.part import PartDirectory


class FileCheck:
    """Follows one file; any thread may report that a blob of it is there."""

    def __init__(self, file: ManifestFile, part: PartDirectory) -> None:
        self._file = file
        self._part = part
        self._there = {blob.digest: False for blob in file.blobs}
        self._hash = hashlib.sha256()
        self._next = 0
        self._offset = 0
        self._reading = threading.Lock()

    def advance(self, digest: str) -> None:
        """The blob `digest` is in its places: read on as far as the file goes without a gap."""
        self._there[digest] = True
        if len(self._file.blobs) == 1:
            # The blob is the file, and was checked as such.
            return
        with self._reading:
            while self._next < len(self._file.blobs) and self._there[self._file.blobs[self._next].digest]:
                size_bytes = self._file.blobs[self._next].size_bytes
                self._part.read_into(self._hash, self._file.path, self._offset, size_bytes)
                self._offset += size_bytes
                self._next += 1

    def finish(self) -> None:
        """Compare, and have the disk hold it.

        Raises:
            ServiceError: `digest_mismatch`: the blobs are right and the file is not, so its manifest is wrong.
        """
        if len(self._file.blobs) > 1 and self._hash.hexdigest() != self._file.digest:
            raise ServiceError("digest_mismatch", f"{self._file.path!r} is not what its manifest says.")
        self._part.sync(self._file.path)
