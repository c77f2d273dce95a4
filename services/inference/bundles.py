"""Joins frames of several requests into one message for each gateway: the bus costs by the message."""

from typing import Final, Protocol

import structlog

from libs.contracts import subjects
from libs.contracts.frames import ENTRY, ENTRY_BYTES
from libs.kit.bus import BusClient, BusError

log = structlog.get_logger(__name__)

MAX_BUNDLE_BYTES: Final = 8 << 10
"""Larger ones save little: what costs by the message is small beside their bytes, which wait until all are there."""
_LARGE_BYTES: Final = MAX_BUNDLE_BYTES // 4
"""A frame that travels alone."""


class Sender(Protocol):
    """Whoever sends frames."""

    def lose(self) -> None:
        """A frame could not be published, so the rest is of no use."""


class _Waiting:
    """The frames for one gateway that go into its next message."""

    __slots__ = ("parts", "senders", "size")

    def __init__(self) -> None:
        self.senders: list[Sender] = []
        self.parts: list[bytes] = []
        self.size = 0


class Bundler:
    """Collects small frames until `send`; the frames of a request stay in order."""

    def __init__(self, bus: BusClient) -> None:
        self._bus = bus
        self._waiting: dict[str, _Waiting] = {}
        self._lost: list[Sender] = []

    @property
    def max_payload_bytes(self) -> int:
        """The largest frame that the server takes."""
        return self._bus.max_payload_bytes

    def put(self, sender: Sender, gateway: str, request_id: str, size: int, frame: list[bytes]) -> None:
        """Take one frame of one request, in parts, `size` bytes together."""
        waiting = self._waiting.get(gateway)
        if size > _LARGE_BYTES:
            if waiting is not None:
                # One of them may be an earlier frame of the same request.
                self._publish(gateway, self._waiting.pop(gateway))
            self._publish_alone(sender, gateway, request_id, size, frame)
            return
        if waiting is None:
            waiting = self._waiting[gateway] = _Waiting()
        elif waiting.size > MAX_BUNDLE_BYTES - _LARGE_BYTES:
            self._publish(gateway, waiting)
            waiting = self._waiting[gateway] = _Waiting()
        name = request_id.encode()
        waiting.senders.append(sender)
        waiting.parts += (ENTRY.pack(len(name), size), name, *frame)
        waiting.size += ENTRY_BYTES + len(name) + size

    def send(self) -> list[Sender]:
        """Publish everything; returns those whose frames could not be."""
        waiting, self._waiting = self._waiting, {}
        for gateway, bundle in waiting.items():
            self._publish(gateway, bundle)
        lost, self._lost = self._lost, []
        return lost

    def _publish(self, gateway: str, bundle: _Waiting) -> None:
        try:
            if len(bundle.senders) == 1:
                entry, name, *frame = bundle.parts
                size = bundle.size - len(entry) - len(name)
                self._bus.publish_parts(subjects.gateway_reply(gateway, name.decode()), size, frame)
            else:
                self._bus.publish_parts(subjects.gateway_frames(gateway), bundle.size, bundle.parts)
        except BusError as error:
            # The gateway will see the gap in `seq` and end the request with an error.
            log.warning("frames lost", error=str(error), count=len(bundle.senders))
            self._lost += bundle.senders

    def _publish_alone(self, sender: Sender, gateway: str, request_id: str, size: int, frame: list[bytes]) -> None:
        try:
            self._bus.publish_parts(subjects.gateway_reply(gateway, request_id), size, frame)
        except BusError as error:
            # As above.
            log.warning("frame lost", error=str(error), bytes=size)
            self._lost.append(sender)
