"""Hears calls on the bus and answers every one of them: a result, or a fault with one of our codes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from faststream.nats import NatsBroker, NatsMessage

from libs.contracts import subjects
from libs.contracts.calls import Fault, Reply
from libs.contracts.registry import OPERATIONS
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

Operation = Callable[[Any], Awaitable[msgspec.Struct]]

_QUEUE: Final = "registry"
_AT_ONCE: Final = 32
"""Calls of one operation that one process answers at the same time."""
_MAX_REPLY_BYTES: Final = 1_000_000
"""Below the server's limit of 1 MiB, which a larger answer would never pass."""


def subscribe(broker: NatsBroker, operations: Mapping[str, Operation]) -> None:
    """Answer every operation of the contract with its function in `operations`.

    Raises:
        KeyError: one is missing.
    """
    for name, (request_type, _) in OPERATIONS.items():
        decode = msgspec.json.Decoder(request_type).decode
        handler = _handler(name, decode, operations[name])
        # Core requests: there is nothing to acknowledge and nothing comes twice.
        broker.subscriber(subjects.registry_call(name), queue=_QUEUE, max_workers=_AT_ONCE)(handler)


async def answer(name: str, decode: Callable[[bytes], Any], operation: Operation, payload: bytes) -> bytes:
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
        return _fault("internal_error", f"{name} failed inside the registry; its log says why.")
    if len(result) > _MAX_REPLY_BYTES:
        return _fault("request_too_large", f"The answer to {name} does not fit into a message; ask for less.")
    return msgspec.json.encode(Reply(result=msgspec.Raw(result)))


def _handler(
    name: str, decode: Callable[[bytes], Any], operation: Operation
) -> Callable[[NatsMessage], Awaitable[bytes]]:
    async def handle(message: NatsMessage) -> bytes:
        return await answer(name, decode, operation, message.body)

    return handle


def _fault(code: str, message: str, param: str = "") -> bytes:
    return msgspec.json.encode(Reply(error=Fault(code=code, message=message, param=param)))
