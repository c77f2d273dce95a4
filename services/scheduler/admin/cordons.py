"""Which workers are given no new work: kept in a bucket of JetStream, so that it outlives every scheduler."""

import asyncio
import json
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.scheduling import Cordon
from libs.kit.bus import BusClient, BusError, encode_headers
from libs.kit.bus.headers import header_value
from libs.kit.bus.reading import Stored, StreamReader
from libs.kit.errors import ServiceError
from libs.kit.rounds import Rounds

log = structlog.get_logger(__name__)

_LOOK_S: Final = 5.0
"""Between two looks at the bucket; whoever changes it says so beside."""
_TIMEOUT_S: Final = 2.0
_FIRST_LOOKS: Final = 10
_RETRY_S: Final = 0.2
_PAGE: Final = 256
_WRONG_LAST_SEQUENCE: Final = 10_071
_DELETED: Final = b"KV-Operation"
_decode: Final = msgspec.json.Decoder(Cordon).decode
Key = tuple[str, str]
"""Pool and name of workers."""


class Cordons:
    """The bucket as this scheduler knows it."""

    def __init__(self, bus: BusClient, inbox: str, on_change: Callable[[], None]) -> None:
        """Prepare; `on_change` is called after each look. Answers come below `inbox`, on which the user may listen."""
        self._bus = bus
        self._on_change = on_change
        self._reader = StreamReader(bus, get=subjects.CORDONS_GET, inbox=f"{inbox}-cordons", timeout_s=_TIMEOUT_S)
        self._changed = asyncio.Event()
        self._rounds = Rounds("cordons", self._look_again, pause_s=_LOOK_S, wake=self._changed)
        self._found: dict[Key, Cordon] = {}
        self._revisions: dict[str, int] = {}
        self.known = False
        """Whether the bucket has been read, or cannot be."""

    def start(self) -> None:
        """Follow the bucket until `stop`."""
        self._reader.start()
        self._bus.subscribe(subjects.CORDONS_CHANGED, lambda _: self._changed.set())
        self._rounds.start()

    async def stop(self) -> None:
        """Follow it no more."""
        await self._rounds.stop()

    async def first_look(self) -> None:
        """Read the bucket before any work is given out; if it cannot be read for long, give out work all the same."""
        for _ in range(_FIRST_LOOKS):
            if self.known:
                return
            try:
                await self._look()
            except BusError as error:
                log.warning("cordons are not read yet", reason=str(error))
                await asyncio.sleep(_RETRY_S)
        if not self.known:
            log.error("cordons cannot be read: every worker is given work until they can")
            self.known = True

    def names(self, pool: str) -> frozenset[str]:
        """Names of the workers of `pool` that are cordoned."""
        return frozenset(name for where, name in self._found if where == pool)

    def get(self, key: Key) -> Cordon | None:
        """The cordon of these workers."""
        return self._found.get(key)

    def all(self) -> list[Cordon]:
        """Every cordon, by pool and name."""
        return [self._found[key] for key in sorted(self._found)]

    def revision(self, key: Key) -> int:
        """Of what the bucket says of these workers; 0 if it never said anything."""
        return self._revisions.get(subjects.cordon(*key), 0)

    async def put(self, cordon: Cordon, expected: int | None) -> None:
        """Keep a cordon; every scheduler knows of it when this returns, but for those without the bus.

        Raises:
            ServiceError: `conflict`, somebody was faster; `storage_unavailable`, it is not kept.
        """
        await self._write((cordon.pool, cordon.name), msgspec.json.encode(cordon), [], expected)

    async def remove(self, key: Key, expected: int | None) -> None:
        """Forget a cordon; raises as `put`."""
        await self._write(key, b"", [(_DELETED, b"DEL")], expected)

    async def _write(self, key: Key, payload: bytes, fields: list[tuple[bytes, bytes]], expected: int | None) -> None:
        if expected is not None:
            fields = [*fields, (b"Nats-Expected-Last-Subject-Sequence", str(expected).encode())]
        headers = encode_headers(fields) if fields else b""
        try:
            answer = await self._bus.request(subjects.cordon(*key), payload, headers=headers, timeout_s=_TIMEOUT_S)
            _check(answer.payload)
            self._bus.publish(subjects.CORDONS_CHANGED)
            await self._look()
        except BusError as error:
            text = f"The cordon cannot be kept now: {error}; look whether it is, then try again."
            raise ServiceError("storage_unavailable", text, retry_after_s=1) from error

    async def _look_again(self) -> int:
        if self._bus.connected:
            await self._look()
        return 0

    async def _look(self) -> None:
        found: list[Stored] = []
        page = await self._reader.after(0, subjects.ALL_CORDONS, limit=_PAGE)
        while page:
            found += page
            page = await self._reader.after(page[-1].sequence, subjects.ALL_CORDONS, limit=_PAGE)
        self._revisions = {one.subject: one.sequence for one in found}
        cordons = [cordon for one in found if (cordon := _read(one)) is not None]
        self._found = {(cordon.pool, cordon.name): cordon for cordon in cordons}
        self.known = True
        self._on_change()


def _read(stored: Stored) -> Cordon | None:
    if header_value(stored.headers, _DELETED):
        return None
    try:
        return _decode(stored.payload)
    except msgspec.MsgspecError as error:
        log.error("a cordon cannot be read", subject=stored.subject, reason=str(error))
        return None


def _check(acknowledgement: bytes) -> None:
    """Return if JetStream says that it has stored something.

    Raises:
        ServiceError: it says something else.
    """
    try:
        said = json.loads(acknowledgement or b"{}")
    except ValueError as error:
        raise ServiceError("storage_unavailable", "The answer of JetStream cannot be read.") from error
    if error_said := said.get("error"):
        if error_said.get("err_code") == _WRONG_LAST_SEQUENCE:
            raise ServiceError("conflict", "Somebody else has changed it meanwhile; look again.")
        raise ServiceError("storage_unavailable", f"JetStream does not keep it: {error_said.get('description')}.")
    if "seq" not in said:
        raise ServiceError("storage_unavailable", "JetStream does not keep cordons here; provision it.")
