"""Asking the registry: one call per operation, over the bus here, over REST in the command line."""

from typing import Any, Final, Protocol

import msgspec

from libs.contracts import subjects
from libs.contracts.calls import Reply
from libs.contracts.registry import OPERATIONS
from libs.kit.bus import BusClient, BusError, BusPayloadError, BusTimeoutError
from libs.kit.errors import ServiceError

TIMEOUT_S: Final = 30.0
SLOW_TIMEOUT_S: Final = 900.0
"""For operations that read every byte of a version back, or walk the whole bucket."""
_SLOW: Final = frozenset({"upload_commit", "version_verify", "garbage_collect"})
_reply = msgspec.json.Decoder(Reply)
_results: Final = {name: msgspec.json.Decoder(result) for name, (_, result) in OPERATIONS.items()}


class Registry(Protocol):
    """Whatever carries calls to the registry."""

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation` (`OPERATIONS`), in its type.

        Raises:
            ServiceError: the registry's own fault, or `registry_unavailable` or `bus_unavailable`.
        """


def timeout_s(operation: str) -> float:
    """How long an answer to `operation` may take."""
    return SLOW_TIMEOUT_S if operation in _SLOW else TIMEOUT_S


class BusRegistry:
    """The registry over the bus; the client's inbox prefix must be one that the registry may answer to."""

    def __init__(self, bus: BusClient) -> None:
        self._bus = bus

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: as `Registry.call`, or `request_too_large`.
        """
        raw = await self._ask(operation, msgspec.json.encode(request))
        try:
            reply = _reply.decode(raw)
            if reply.error is None:
                return _results[operation].decode(reply.result)
        except msgspec.MsgspecError as error:
            raise ServiceError("internal_error", f"The registry's answer cannot be read: {error}.") from error
        fault = reply.error
        raise ServiceError(fault.code, fault.message, param=fault.param or None)

    async def _ask(self, operation: str, payload: bytes) -> bytes:
        if not self._bus.connected:
            raise ServiceError("bus_unavailable", "The bus is away at the moment; try again.", retry_after_s=1)
        limit_s = timeout_s(operation)
        try:
            answer = await self._bus.request(subjects.registry_call(operation), payload, timeout_s=limit_s)
        except BusPayloadError as error:
            raise ServiceError("request_too_large", f"The call does not fit into a message: {error}.") from error
        except BusTimeoutError as error:
            text = f"The registry did not answer within {limit_s:g} s; look whether it has been done, then try again."
            raise ServiceError("registry_unavailable", text, retry_after_s=5) from error
        except BusError as error:
            text = "No registry is running; try again when one is."
            raise ServiceError("registry_unavailable", text, retry_after_s=5) from error
        return answer.payload
