"""One blob over HTTP into its places: streamed, hashed on the way, and thrown away if it is not what was named."""

import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from libs.contracts.registry import Blob
from libs.kit.digests import Check
from libs.kit.fetch.lanes import Answer, Lanes


class WrongBytesError(Exception):
    """What came is not what was named."""


class RefusedError(Exception):
    """The store answered with an error; a URL that has expired is one of them."""


class StoppedError(Exception):
    """The caller has given up."""


class Sink(NamedTuple):
    """An open file and where in it the blob begins."""

    fd: int
    offset: int


class Download:
    """One try to bring one blob; runs in a thread."""

    def __init__(
        self,
        lanes: Lanes,
        blob: Blob,
        *,
        stop: threading.Event,
        count: Callable[[int], None],
    ) -> None:
        self._lanes = lanes
        self._size_bytes = blob.size_bytes
        self._stop = stop
        self._count = count
        self._check = Check(blob)
        self._done_bytes = 0

    def run(self, url: str, sinks: list[Sink]) -> None:
        """Bring it; after any error what was written is worth nothing.

        Raises:
            WrongBytesError: too few, too many, or other bytes.
            UnreachableError: no connection, or it broke.
            RefusedError: an HTTP error.
            StoppedError: `stop` was set.
            OSError: the files cannot be written.
        """
        try:
            self._stream(url, sinks)
        except BaseException:
            self._count(-self._done_bytes)
            raise

    def _stream(self, url: str, sinks: list[Sink]) -> None:
        with self._lanes.get(url) as answer:
            self._receive(answer, sinks)
        if self._done_bytes != self._size_bytes or not self._check.holds():
            raise WrongBytesError(f"{self._done_bytes} of {self._size_bytes} bytes, {self._check.found()}")

    def _receive(self, answer: Answer, sinks: list[Sink]) -> None:
        if answer.status != HTTPStatus.OK:
            raise RefusedError(f"status {answer.status}")
        for part in answer.parts():
            self._take(part, sinks)

    def _take(self, part: memoryview, sinks: list[Sink]) -> None:
        if self._stop.is_set():
            raise StoppedError
        if self._done_bytes + len(part) > self._size_bytes:
            raise WrongBytesError(f"more than {self._size_bytes} bytes")
        # Hashed while it is in the processor's cache, and before anything of it is on the disk.
        self._check.update(part)
        for fd, offset in sinks:
            write_all(fd, part, offset + self._done_bytes)
        self._done_bytes += len(part)
        self._count(len(part))


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, however many calls that takes."""
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written
