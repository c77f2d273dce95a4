"""Asking another service over the bus: one core request per call, answered with a result or a fault."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from libs.contracts.calls import Reply
from libs.kit.bus import BusClient, BusError, BusPayloadError, BusTimeoutError
from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import called
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry.tracing import Kind, Span, Step, header_line

_RETRY_S: Final = 5.0
_reply = msgspec.json.Decoder(Reply)


class Caller(Protocol):
    """Whatever carries calls to a service."""

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`, in its type.

        Raises:
            ServiceError: the service's own fault, or that it or the bus cannot be reached.
        """


@dataclass(frozen=True, kw_only=True)
class Callee:
    """A service that answers calls."""

    name: str
    operations: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
    subject: Callable[[str], str]
    timeout_s: Callable[[str], float]
    """How long an answer to an operation may take."""

    @property
    def unavailable(self) -> str:
        """The error code for "it does not answer"."""
        return f"{self.name}_unavailable"


class BusCaller:
    """Calls to one service over the bus; the client's inbox prefix must be one that the service may answer to."""

    def __init__(self, bus: BusClient, callee: Callee) -> None:
        self._bus = bus
        self._callee = callee
        self._results = {name: msgspec.json.Decoder(result) for name, (_, result) in callee.operations.items()}

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: as `Caller.call`, or `request_too_large`.
        """
        method = f"{self._callee.name}/{operation}"
        said = {names.RPC_SYSTEM: names.NATS, names.RPC_METHOD: method}
        step = Step(f"{self._callee.name}.{operation}", Kind.CLIENT, said)
        with called(self._callee.name, operation), step as span:
            return await self._answered(operation, request, span)

    async def _answered(self, operation: str, request: msgspec.Struct, span: Span | None) -> Any:
        raw = await self._ask(operation, msgspec.json.encode(request), span)
        try:
            reply = _reply.decode(raw)
            if reply.error is None:
                return self._results[operation].decode(reply.result)
        except msgspec.MsgspecError as error:
            text = f"The answer of the {self._callee.name} service cannot be read: {error}."
            raise ServiceError("internal_error", text) from error
        fault = reply.error
        raise ServiceError(fault.code, fault.message, param=fault.param or None)

    async def _ask(self, operation: str, payload: bytes, span: Span | None) -> bytes:
        callee = self._callee
        headers = f"NATS/1.0\r\n{header_line(span)}\r\n".encode() if span is not None else b""
        if not self._bus.connected:
            raise ServiceError("bus_unavailable", "The bus is away at the moment; try again.", retry_after_s=1)
        limit_s = callee.timeout_s(operation)
        try:
            answer = await self._bus.request(callee.subject(operation), payload, headers=headers, timeout_s=limit_s)
        except BusPayloadError as error:
            raise ServiceError("request_too_large", f"The call does not fit into a message: {error}.") from error
        except BusTimeoutError as error:
            late = f"The {callee.name} service did not answer within {limit_s:g} s"
            text = f"{late}; look whether it has been done, then try again."
            raise ServiceError(callee.unavailable, text, retry_after_s=_RETRY_S) from error
        except BusError as error:
            text = f"No {callee.name} service is running; try again when one is."
            raise ServiceError(callee.unavailable, text, retry_after_s=_RETRY_S) from error
        return answer.payload
