"""Hears from the server itself that a worker's connection ended."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import CONNECTION_NAME_PREFIX
from libs.kit.bus import BusClient, BusOptions, Message

log = structlog.get_logger(__name__)

_MARK: Final = f'"{CONNECTION_NAME_PREFIX}'.encode()


class _Client(msgspec.Struct, frozen=True):
    name: str = ""


class _Disconnect(msgspec.Struct, frozen=True):
    """What is needed of the server's own event."""

    client: _Client


_decode: Final = msgspec.json.Decoder(_Disconnect).decode


class SystemWatch:
    """A connection to the system account; reports the ids of workers whose connection ended."""

    def __init__(self, options: BusOptions, on_disconnect: Callable[[str], None]) -> None:
        self._bus = BusClient(options)
        self._on_disconnect = on_disconnect

    @property
    def connected(self) -> bool:
        """Whether ends of connections are heard of at the moment."""
        return self._bus.connected

    async def start(self) -> None:
        """Listen as soon as the server can be reached, and for ever."""
        self._bus.subscribe(subjects.SYS_DISCONNECTS, self._on_event)
        await self._bus.connect_when_possible()

    async def stop(self) -> None:
        """Close the connection."""
        await self._bus.close()

    def _on_event(self, message: Message) -> None:
        # Every client's end is reported here; most are not workers.
        if _MARK not in message.payload:
            return
        try:
            name = _decode(message.payload).client.name
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("disconnect event cannot be read", reason=str(error))
            return
        if name.startswith(CONNECTION_NAME_PREFIX):
            self._on_disconnect(name.removeprefix(CONNECTION_NAME_PREFIX))
