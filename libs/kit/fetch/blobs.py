"""One blob over HTTP into its places: streamed, hashed on the way, and thrown away if it is not what was named."""

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import httpx2

_WRITE_BYTES: Final = 1 << 20


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


def make_client(*, parallel: int, connect_timeout_s: float, read_timeout_s: float) -> httpx2.Client:
    """A client for one fetch; threads share it."""
    return httpx2.Client(
        timeout=httpx2.Timeout(read_timeout_s, connect=connect_timeout_s),
        limits=httpx2.Limits(max_connections=parallel, max_keepalive_connections=parallel),
        # The URLs are the registry's own; a proxy from the environment has no part in this.
        trust_env=False,
    )


class Download:
    """One try to bring one blob; runs in a thread."""

    def __init__(
        self,
        client: httpx2.Client,
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
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

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
            with self._client.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
                if response.status_code != httpx2.codes.OK:
                    raise RefusedError(f"status {response.status_code}")
                for part in response.iter_raw():
                    self._take(part, sinks)
        except httpx2.HTTPError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        self._write(sinks)
        if self._done_bytes != self._size_bytes or self._hash.hexdigest() != self._digest:
            raise WrongBytesError(f"{self._done_bytes} of {self._size_bytes} bytes, digest {self._hash.hexdigest()}")

    def _take(self, part: bytes, sinks: list[Sink]) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._waiting.append(part)
        self._waiting_bytes += len(part)
        if self._done_bytes + self._waiting_bytes > self._size_bytes:
            raise WrongBytesError(f"more than {self._size_bytes} bytes")
        if self._waiting_bytes >= _WRITE_BYTES:
            self._write(sinks)

    def _write(self, sinks: list[Sink]) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._hash.update(data)
        for fd, offset in sinks:
            write_all(fd, data, offset + self._done_bytes)
        self._done_bytes += len(data)
        self._count(len(data))


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, however many calls that takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
