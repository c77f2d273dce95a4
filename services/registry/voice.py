"""What the registry says on its own: events, desired states, and orders to workers."""

from typing import Final

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.contracts import subjects
from libs.contracts.registry import Deployment
from libs.contracts.topology import DEPLOYMENTS, EVT_REGISTRY
from libs.kit import clock
from libs.kit.bus.stored import Event
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

_SOURCE: Final = "llmos/registry"
_ACK_TIMEOUT_S: Final = 5.0
_BUCKET_STREAM: Final = f"KV_{DEPLOYMENTS.name}"


class Voice:
    """Publishes through a connection that somebody else keeps."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._jetstream = connection.jetstream(timeout=_ACK_TIMEOUT_S)

    @property
    def is_connected(self) -> bool:
        """Whether the bus is there."""
        return bool(self._connection.is_connected)

    async def store(self, events: list[Event]) -> None:
        """Store events in their stream, one after the other; a repeat is recognised by the event's id.

        Raises:
            ServiceError: `bus_unavailable`, it is not known of each that it is stored.
        """
        for event in events:
            headers = {
                "Nats-Msg-Id": event.id,
                "ce-id": event.id,
                "ce-type": event.subject,
                "ce-time": clock.rfc3339(event.time_ms),
                "ce-source": _SOURCE,
                "ce-specversion": "1.0",
                "content-type": "application/json",
            }
            await self._store(EVT_REGISTRY.name, event.subject, event.payload, headers)

    async def put_deployment(self, deployment: Deployment) -> None:
        """Put a pool's desired state into the bucket.

        Raises:
            ServiceError: `bus_unavailable`, it is not known to be stored.
        """
        payload = msgspec.json.encode(deployment)
        await self._store(_BUCKET_STREAM, subjects.deployment(deployment.pool), payload)

    async def ask_to_reload(self, worker: str) -> None:
        """Ask a worker to start again with its pool's base; nobody answers.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        await self._say(subjects.reload(worker))

    async def ask_for_beats(self) -> None:
        """Ask every worker for a sign of life.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        await self._say(subjects.REPORT)

    async def _say(self, subject: str) -> None:
        try:
            await self._connection.publish(subject, b"")
        except NatsError as error:
            raise _away(subject, error) from error

    async def _store(self, stream: str, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            await self._jetstream.publish(subject, payload, stream=stream, headers=headers)
        except NatsError as error:
            raise _away(subject, error) from error


def _away(subject: str, error: NatsError) -> ServiceError:
    return ServiceError("bus_unavailable", f"{subject} was not taken: {error or type(error).__name__}", retry_after_s=1)
