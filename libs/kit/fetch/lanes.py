"""GET over HTTP into buffers that are used again.

By the standard library's client: urllib3 hands out new bytes for every part, which costs a load of big files a
twentieth of its processor time (`benchmarks/registry.md`).
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

_PART_BYTES: Final = 1 << 20


class UnreachableError(Exception):
    """The store did not answer, or broke off; another try may help."""


class Lanes:
    """Connections of one fetch, each with its buffer; threads share them, and each lane has one user at a time."""

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        """Connect when the first asks; no proxy of the environment is used, for the URLs are the registry's own."""
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._encryption: ssl.SSLContext | None = None
        self._idle: dict[str, list[_Lane]] = {}

    @contextmanager
    def get(self, url: str) -> Iterator["Answer"]:
        """The answer to one request; what is left of it unread at the end is never read.

        Raises:
            UnreachableError: no connection, or it broke.
        """
        scheme, host, path, query, _ = urlsplit(url)
        idle = self._idle.setdefault(f"{scheme}://{host}", [])
        lane = idle.pop() if idle else self._open(scheme, host)
        try:
            answer = lane.ask(f"{path}?{query}" if query else path)
            yield answer
        except BaseException:
            lane.close()
            raise
        if answer.is_read:
            idle.append(lane)
        else:
            lane.close()

    def close(self) -> None:
        """Close what is idle."""
        for lanes in self._idle.values():
            while lanes:
                lanes.pop().close()

    def _open(self, scheme: str, host: str) -> "_Lane":
        try:
            if scheme == "http":
                return _Lane(HTTPConnection(host, timeout=self._connect_timeout_s), self._read_timeout_s)
            self._encryption = self._encryption or ssl.create_default_context()
            encrypted = HTTPSConnection(host, timeout=self._connect_timeout_s, context=self._encryption)
            return _Lane(encrypted, self._read_timeout_s)
        except HTTPException as error:
            raise _unreachable(error) from error


class Answer:
    """A status and a body."""

    def __init__(self, response: HTTPResponse, buffer: memoryview) -> None:
        self._response = response
        self._buffer = buffer

    @property
    def status(self) -> int:
        """As the store gave it; redirections are not followed."""
        return self._response.status

    @property
    def is_read(self) -> bool:
        """Whether the connection is free for the next request."""
        return self._response.isclosed() and not self._response.will_close

    def parts(self) -> Iterator[memoryview]:
        """The body; each part is good until the next is asked for.

        Raises:
            UnreachableError: the connection broke, or was silent for too long.
        """
        while size_bytes := self._receive():
            yield self._buffer[:size_bytes]
        if self._response.length:
            raise UnreachableError(f"broke off, {self._response.length} bytes are missing")

    def _receive(self) -> int:
        try:
            return self._response.readinto(self._buffer)
        except (HTTPException, OSError) as error:
            raise _unreachable(error) from error


class _Lane:
    """One connection and what it fills."""

    def __init__(self, connection: HTTPConnection, read_timeout_s: float) -> None:
        self._connection = connection
        self._read_timeout_s = read_timeout_s
        self._buffer = memoryview(bytearray(_PART_BYTES))

    def ask(self, target: str) -> Answer:
        """Send a request and read the head of its answer; a connection that the store has closed is made again."""
        was_open = self._connection.sock is not None
        try:
            try:
                return self._ask(target)
            except ConnectionError:
                if not was_open:
                    raise
                self.close()
                return self._ask(target)
        except (HTTPException, OSError) as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Give it up."""
        self._connection.close()

    def _ask(self, target: str) -> Answer:
        if self._connection.sock is None:
            self._connect()
        self._connection.request("GET", target)
        return Answer(self._connection.getresponse(), self._buffer)

    def _connect(self) -> None:
        self._connection.connect()
        self._connection.sock.settimeout(self._read_timeout_s)


def _unreachable(error: Exception) -> UnreachableError:
    return UnreachableError(f"{type(error).__name__}: {error}")
