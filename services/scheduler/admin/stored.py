"""Looks into the stream of requests: how many wait where, and what is known of each but its words."""

import json
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec

from libs.contracts import subjects
from libs.contracts.inference import ENVELOPE_HEADER, Envelope, ServiceClass
from libs.kit.bus import BusClient, BusError, header_value
from libs.kit.bus.reading import Stored, StreamReader
from libs.kit.errors import ServiceError

_TIMEOUT_S: Final = 5.0
_HEADER: Final = ENVELOPE_HEADER.encode()
_PAGE: Final = 256
_COUNT: Final = json.dumps({"subjects_filter": f"{subjects.SUBMIT_PREFIX}.>"}).encode()
_decode: Final = msgspec.json.Decoder(Envelope).decode


class Waiting(NamedTuple):
    """One stored request."""

    place: int
    size_bytes: int
    envelope: Envelope


class StoredRequests:
    """The stream, as it is when it is asked; every request that waits is in it, whoever holds it."""

    def __init__(self, bus: BusClient, inbox: str) -> None:
        """Prepare; answers come below `inbox`, on which the user may listen."""
        self._bus = bus
        self._reader = StreamReader(bus, get=subjects.SUBMITTED_GET, inbox=f"{inbox}-stored", timeout_s=_TIMEOUT_S)

    def start(self) -> None:
        """Listen for answers."""
        self._reader.start()

    async def depths(self) -> dict[tuple[str, str], int]:
        """How many wait, by pool and class.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        try:
            answer = await self._bus.request(subjects.SUBMITTED_INFO, _COUNT, timeout_s=_TIMEOUT_S)
            counted = json.loads(answer.payload)["state"].get("subjects") or {}
        except (BusError, ValueError, KeyError) as error:
            raise _unreadable(error) from error
        found = {}
        for subject, count in counted.items():
            pool, service_class = subject.split(".")[-2:]
            found[pool, service_class] = int(count)
        return found

    async def page(self, subject: str, after: int, limit: int) -> list[Waiting]:
        """What waits on `subject`, a pattern, behind the place `after`, oldest first; unreadable messages are left out.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        return [waiting for one in await self._after(after, subject, limit) if (waiting := _read(one)) is not None]

    async def all(self, subject: str, until: int) -> AsyncIterator[Waiting]:
        """Everything that waits on `subject` up to the place `until`."""
        page = await self._after(0, subject, _PAGE)
        while page:
            for stored in page:
                if stored.sequence > until:
                    return
                if (waiting := _read(stored)) is not None:
                    yield waiting
            page = await self._after(page[-1].sequence, subject, _PAGE)

    async def last(self, subject: str) -> int:
        """The newest place on `subject`; 0 if nothing waits there.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        try:
            return await self._reader.last(subject)
        except BusError as error:
            raise _unreadable(error) from error

    async def forget(self, place: int) -> None:
        """Take one request out of the stream; one that is not there any more is taken out already.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        wanted = json.dumps({"seq": place, "no_erase": True}).encode()
        try:
            await self._bus.request(subjects.SUBMITTED_DELETE, wanted, timeout_s=_TIMEOUT_S)
        except BusError as error:
            raise _unreadable(error) from error

    async def _after(self, place: int, subject: str, limit: int) -> list[Stored]:
        try:
            return await self._reader.after(place, subject, limit=limit)
        except BusError as error:
            raise _unreadable(error) from error


def pattern(pool: str, service_class: ServiceClass | None) -> str:
    """Where the requests of a pool, or of one class of it, are stored."""
    return subjects.submit(pool, service_class or "*")


def _read(stored: Stored) -> Waiting | None:
    try:
        envelope = _decode(header_value(stored.headers, _HEADER) or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # The scheduler that pulls it says so in its log and takes it out.
        return None
    return Waiting(stored.sequence, len(stored.payload), envelope)


def _unreadable(error: Exception) -> ServiceError:
    return ServiceError("bus_unavailable", f"The queue cannot be read now: {error}.", retry_after_s=1)
