"""Hears calls on the bus and answers every one of them: a result, or a fault with one of our codes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from faststream.nats import NatsBroker, NatsMessage

from libs.contracts.calls import Fault, Reply
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

Operation = Callable[[Any], Awaitable[msgspec.Struct]]

_AT_ONCE: Final = 32
"""Calls of one operation that one process answers at the same time."""
_MAX_REPLY_BYTES: Final = 1_040_000
"""Below the server's limit of 1 MiB, which a larger answer would never pass."""


class Calls:
    """The calls that one process is answering."""

    def __init__(self) -> None:
        self._running: set[asyncio.Future[msgspec.Struct]] = set()
        self._closing = False

    async def run(self, work: Awaitable[msgspec.Struct]) -> msgspec.Struct:
        """What `work` gives.

        Raises:
            ServiceError: its own, or `shutting_down` if it was broken off.
        """
        running = asyncio.ensure_future(work)
        self._running.add(running)
        try:
            return await running
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise ServiceError("shutting_down", "This process is being stopped; ask again.") from None
        finally:
            self._running.discard(running)

    def break_off(self) -> None:
        """End what still runs; those who wait hear it at once instead of nothing."""
        self._closing = True
        for running in self._running:
            running.cancel()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the calls of one service come in; its processes share them."""

    name: str
    contract: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
    """What every operation takes and gives."""
    subject: Callable[[str], str]

    def subscribe(self, broker: NatsBroker, operations: Mapping[str, Operation]) -> Calls:
        """Answer every operation of the contract with its function in `operations`; returns the calls that run.

        Raises:
            KeyError: one is missing.
        """
        calls = Calls()
        for operation, (request_type, _) in self.contract.items():
            decode = msgspec.json.Decoder(request_type).decode
            handler = self._handler(operation, decode, _tracked(calls, operations[operation]))
            # Core requests: there is nothing to acknowledge and nothing comes twice.
            subscriber = broker.subscriber(
                self.subject(operation), queue=self.name, max_workers=_AT_ONCE, decoder=_as_it_is
            )
            subscriber(handler)
        return calls

    async def answer(self, name: str, decode: Callable[[bytes], Any], operation: Operation, payload: bytes) -> bytes:
        """Decode, do, encode; whatever goes wrong becomes a fault."""
        try:
            result = msgspec.json.encode(await operation(decode(payload or b"{}")))
        except msgspec.ValidationError as error:
            return _fault("invalid_value", f"{name}: {error}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _fault("invalid_json", f"{name}: {error}")
        except ServiceError as error:
            if error.spec.kind == "server_error":
                log.warning("call failed", operation=name, code=error.code, reason=error.message)
            return _fault(error.code, error.message, error.param or "")
        except Exception:
            # The caller must not wait for an answer that never comes; what happened is in the log.
            log.exception("call failed", operation=name)
            return _fault("internal_error", f"{name} failed inside the {self.name} service; its log says why.")
        if len(result) > _MAX_REPLY_BYTES:
            return _fault("request_too_large", f"The answer to {name} does not fit into a message; ask for less.")
        return msgspec.json.encode(Reply(result=msgspec.Raw(result)))

    def _handler(
        self, name: str, decode: Callable[[bytes], Any], operation: Operation
    ) -> Callable[[NatsMessage], Awaitable[bytes]]:
        async def handle(message: NatsMessage) -> bytes:
            return await self.answer(name, decode, operation, message.body)

        return handle


async def _as_it_is(message: NatsMessage) -> bytes:
    """Each operation decodes for itself; the library's own decoder gives deeply nested nonsense no answer."""
    return message.body


def _tracked(calls: Calls, operation: Operation) -> Operation:
    async def tracked(request: Any) -> msgspec.Struct:
        return await calls.run(operation(request))

    return tracked


def _fault(code: str, message: str, param: str = "") -> bytes:
    return msgspec.json.encode(Reply(error=Fault(code=code, message=message, param=param)))
