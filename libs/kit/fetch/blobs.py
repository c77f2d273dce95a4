"""One blob over HTTP into its places: streamed, hashed on the way, and thrown away if it is not what was named."""

import hashlib
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

_PART_BYTES: Final = 1 << 20
_PLAIN: Final = {"accept-encoding": "identity"}


class WrongBytesError(Exception):
    """What came is not what was named."""


class UnreachableError(Exception):
    """The store did not answer, or broke off; another try may help."""


class RefusedError(Exception):
    """The store answered with an error; a URL that has expired is one of them."""


class StoppedError(Exception):
    """The caller has given up."""


class Sink(NamedTuple):
    """An open file and where in it the blob begins."""

    fd: int
    offset: int


def make_client(*, parallel: int, connect_timeout_s: float, read_timeout_s: float) -> PoolManager:
    """A client for one fetch; threads share it."""
    # It looks for no proxy in the environment: the URLs are the registry's own.
    return PoolManager(maxsize=parallel, timeout=Timeout(connect=connect_timeout_s, read=read_timeout_s), retries=False)


class Download:
    """One try to bring one blob; runs in a thread."""

    def __init__(
        self,
        client: PoolManager,
        digest: str,
        size_bytes: int,
        *,
        stop: threading.Event,
        count: Callable[[int], None],
    ) -> None:
        self._client = client
        self._digest = digest
        self._size_bytes = size_bytes
        self._stop = stop
        self._count = count
        self._hash = hashlib.sha256()
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
        try:
            response = self._client.request(
                "GET", url, headers=_PLAIN, preload_content=False, decode_content=False, redirect=False
            )
            try:
                self._receive(response, sinks)
            except BaseException:
                # What is left of it must not be taken for the answer to the next request.
                response.close()
                raise
            response.release_conn()
        except HTTPError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        if self._done_bytes != self._size_bytes or self._hash.hexdigest() != self._digest:
            raise WrongBytesError(f"{self._done_bytes} of {self._size_bytes} bytes, digest {self._hash.hexdigest()}")

    def _receive(self, response: BaseHTTPResponse, sinks: list[Sink]) -> None:
        if response.status != HTTPStatus.OK:
            raise RefusedError(f"status {response.status}")
        for part in response.stream(_PART_BYTES, decode_content=False):
            self._take(part, sinks)

    def _take(self, part: bytes, sinks: list[Sink]) -> None:
        if self._stop.is_set():
            raise StoppedError
        if self._done_bytes + len(part) > self._size_bytes:
            raise WrongBytesError(f"more than {self._size_bytes} bytes")
        # Hashed while it is in the processor's cache, and before anything of it is on the disk.
        self._hash.update(part)
        for fd, offset in sinks:
            write_all(fd, part, offset + self._done_bytes)
        self._done_bytes += len(part)
        self._count(len(part))


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, however many calls that takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
