"""Joins frames of several requests into one message for each gateway: the bus costs by the message."""

from typing import Final, Protocol

import structlog

from libs.contracts import subjects
from libs.contracts.frames import ENTRY_BYTES, join
from libs.kit.bus import BusClient, BusError

log = structlog.get_logger(__name__)

MAX_BUNDLE_BYTES: Final = 8 << 10
"""Larger ones save nothing more, and a message goes on only once it is whole."""
_ID_BYTES: Final = 24


class Sender(Protocol):
    """Whoever sends frames."""

    def lose(self) -> None:
        """A frame could not be published, so the rest is of no use."""


class Bundler:
    """Collects frames until `send`; the frames of a request stay in order."""

    def __init__(self, bus: BusClient) -> None:
        self._bus = bus
        self._waiting: dict[str, list[tuple[Sender, str, bytes]]] = {}

    @property
    def max_payload_bytes(self) -> int:
        """The largest frame that the server takes."""
        return self._bus.max_payload_bytes

    def put(self, sender: Sender, gateway: str, request_id: str, frame: bytes) -> None:
        """Take one frame of one request."""
        self._waiting.setdefault(gateway, []).append((sender, request_id, frame))

    def send(self) -> list[Sender]:
        """Publish everything; returns those whose frames could not be."""
        waiting, self._waiting = self._waiting, {}
        lost: list[Sender] = []
        for gateway, entries in waiting.items():
            begin, size = 0, 0
            for index, (_, _, frame) in enumerate(entries):
                size += len(frame) + _ID_BYTES + ENTRY_BYTES
                if size > MAX_BUNDLE_BYTES and index > begin:
                    lost += self._publish(gateway, entries[begin:index])
                    begin, size = index, len(frame)
            lost += self._publish(gateway, entries[begin:])
        return lost

    def _publish(self, gateway: str, entries: list[tuple[Sender, str, bytes]]) -> list[Sender]:
        try:
            if len(entries) == 1:
                _, request_id, frame = entries[0]
                self._bus.publish(subjects.gateway_reply(gateway, request_id), frame)
            else:
                bundle = join((request_id.encode(), frame) for _, request_id, frame in entries)
                self._bus.publish(subjects.gateway_frames(gateway), bundle)
        except BusError as error:
            # The gateway will see the gap in `seq` and end the request with an error.
            log.warning("frames lost", error=str(error), count=len(entries))
            return [sender for sender, _, _ in entries]
        return []
