"""What the registry says on its own: events, desired states, and orders to workers."""

from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.registry import Deployment
from libs.kit.bus import BusClient, BusError
from libs.kit.bus.stored import Event, StoredPublisher, is_stored
from libs.kit.errors import ServiceError

_SOURCE: Final = "llmos/registry"
_ACK_TIMEOUT_S: Final = 5.0


class Voice:
    """Publishes through a connection that somebody else keeps."""

    def __init__(self, bus: BusClient, instance: str) -> None:
        """Prepare; acknowledgements come to the inbox of this process."""
        self._bus = bus
        inbox = f"_INBOX.{instance}.said"
        self._events = StoredPublisher(bus, source=_SOURCE, inbox=inbox, timeout_s=_ACK_TIMEOUT_S)
        self._events.start()

    @property
    def is_connected(self) -> bool:
        """Whether the bus is there."""
        return self._bus.connected

    async def store(self, events: list[Event]) -> None:
        """Store events in their stream, one after the other; a repeat is recognised by the event's id.

        Raises:
            ServiceError: `bus_unavailable`, it is not known of each that it is stored.
        """
        for event in events:
            try:
                await self._events.store([event])
            except BusError as error:
                raise _away(event.subject, error) from error

    async def put_deployment(self, deployment: Deployment) -> None:
        """Put a pool's desired state into the bucket.

        Raises:
            ServiceError: `bus_unavailable`, it is not known to be stored.
        """
        subject = subjects.deployment(deployment.pool)
        try:
            answer = await self._bus.request(subject, msgspec.json.encode(deployment), timeout_s=_ACK_TIMEOUT_S)
        except BusError as error:
            raise _away(subject, error) from error
        if not is_stored(answer.payload):
            raise _away(subject, answer.payload.decode(errors="replace"))

    def ask_to_reload(self, worker: str) -> None:
        """Ask a worker to start again with its pool's base; nobody answers.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        self._say(subjects.reload(worker))

    def ask_for_beats(self) -> None:
        """Ask every worker for a sign of life.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        self._say(subjects.REPORT)

    def _say(self, subject: str) -> None:
        try:
            self._bus.publish(subject)
        except BusError as error:
            raise _away(subject, error) from error


def _away(subject: str, reason: object) -> ServiceError:
    said = str(reason) or type(reason).__name__
    return ServiceError("bus_unavailable", f"{subject} was not taken: {said}", retry_after_s=1)
