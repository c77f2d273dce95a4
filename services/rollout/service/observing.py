"""Takes in what gateways observed and what people said."""

from typing import Final, TypeVar

import msgspec

from libs.contracts.feedback import Signal, SignalKind, SignalRecorded, Source
from libs.contracts.rollouts import RequestObserved
from libs.kit import clock
from libs.kit.bus import Message
from libs.kit.postgres import Database
from services.rollout.repository import arrivals

T = TypeVar("T")

_observed: Final = msgspec.json.Decoder(RequestObserved)
_recorded: Final = msgspec.json.Decoder(SignalRecorded)
_DAY_MS: Final = 86_400_000


class Observing:
    """Each batch is one transaction; one that holds what cannot be read fails as a whole."""

    def __init__(self, database: Database, *, keep_days: float) -> None:
        self._database = database
        self._keep_days = keep_days

    async def observed(self, messages: list[Message]) -> None:
        """Write down how requests ended.

        Raises:
            ServiceError: `storage_unavailable`.
            msgspec.MsgspecError: one of them is no such event.
        """
        found = _read(_observed, messages)
        async with self._database.begin_bulk() as connection:
            await arrivals.put_outcomes(connection, found)

    async def said(self, messages: list[Message]) -> None:
        """Write down explicit thumbs on requests; other signals say nothing of a version.

        Raises:
            ServiceError: `storage_unavailable`.
            msgspec.MsgspecError: one of them is no such event.
        """
        thumbs = [one.signal for one in _read(_recorded, messages) if _counts(one.signal)]
        if not thumbs:
            return
        async with self._database.begin_bulk() as connection:
            await arrivals.put_thumbs(connection, thumbs, clock.unix_ms())

    async def expire(self) -> int:
        """Remove some of the evidence that is too old; how many rows.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        before_ms = clock.unix_ms() - int(self._keep_days * _DAY_MS)
        async with self._database.begin_bulk() as connection:
            return await arrivals.remove(connection, before_ms)


def _counts(signal: Signal) -> bool:
    return signal.kind is SignalKind.THUMB and signal.source is Source.EXPLICIT and bool(signal.request_id)


def _read(decoder: msgspec.json.Decoder[T], messages: list[Message]) -> list[T]:
    return [decoder.decode(message.payload) for message in messages]
