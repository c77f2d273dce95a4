"""Where a worker learns what to serve and gets the bytes: the deployments bucket and the registry, over the bus."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.registry import DeployedVersion, Deployment, Fetch, FetchVersion
from libs.contracts.versions import full_reference
from libs.kit.bus import BusClient, BusError, Message, header_value, status_of
from libs.kit.errors import ServiceError
from libs.kit.fetch import Pages
from libs.kit.registry_client import BusRegistry

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_NONE: Final = 404
_decode = msgspec.json.Decoder(Deployment).decode


class Source:
    """Asks on behalf of one worker."""

    def __init__(self, bus: BusClient, pool: str) -> None:
        self._bus = bus
        self._pool = pool
        self._registry = BusRegistry(bus)

    async def deployment(self) -> Deployment | None:
        """What the pool is to serve; None if nobody has said so yet.

        Raises:
            ServiceError: `bus_unavailable`: nobody answers.
        """
        try:
            answer = await self._bus.request(subjects.deployment_get(self._pool), timeout_s=_TIMEOUT_S)
        except BusError as error:
            raise ServiceError("bus_unavailable", f"The deployment of {self._pool} cannot be read: {error}.") from error
        return read_deployment(answer)

    def pages(self, version: DeployedVersion) -> Pages:
        """Asks the registry for the URLs of a version."""
        reference = full_reference(version.reference.partition("@")[0], version.digest)

        async def ask(skip: int) -> Fetch:
            fetch: Fetch = await self._registry.call("version_fetch", FetchVersion(reference, skip))
            return fetch

        return ask


def read_deployment(message: Message) -> Deployment | None:
    """The value of the pool's key, or None if the key is not there, was removed, or cannot be read."""
    if status_of(message.headers) == _NONE or header_value(message.headers, b"KV-Operation"):
        return None
    try:
        return _decode(message.payload)
    except msgspec.DecodeError as error:
        log.error("unreadable deployment", subject=message.subject, error=str(error))
        return None
