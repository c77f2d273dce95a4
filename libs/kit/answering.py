"""Answers one call: decodes what is asked, has it done, and turns whatever goes wrong into a fault with our codes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog

from libs.contracts.calls import Fault, Reply
from libs.contracts.errors import ERRORS
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import ANSWER_S, ANSWERS
from libs.kit.tally import Tally
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Kind, Span, Within

log = structlog.get_logger(__name__)

Operation = Callable[[Any], Awaitable[msgspec.Struct]]

_MAX_REPLY_BYTES: Final = 1_040_000
"""Below the server's limit of 1 MiB, which a larger answer would never pass."""


@dataclass(frozen=True)
class Answering:
    """One operation of a service, from the bytes of a call to the bytes of its answer."""

    service: str
    name: str
    decode: Callable[[bytes], Any]
    operation: Operation
    tally: Tally = field(default_factory=Tally)

    async def answer(self, payload: bytes, traceparent: str = "") -> bytes:
        """The reply to `payload`; there is always one. `traceparent` is of its caller, where that is in a trace."""
        began_s = clock.monotonic_s()
        with Within(self._span(traceparent) if traceparent else None):
            reply = await self._reply(payload)
        took_s = clock.monotonic_s() - began_s
        self.tally.answered(took_s)
        ANSWER_S.labels(self.name).observe(took_s)
        return reply

    def _span(self, traceparent: str) -> Span | None:
        span = tracing.begin(f"{self.service}.{self.name}", Kind.SERVER, traceparent)
        if span is not None:
            span.set({names.RPC_SYSTEM: names.NATS, names.RPC_METHOD: f"{self.service}/{self.name}"})
        return span

    async def _reply(self, payload: bytes) -> bytes:
        name = self.name
        try:
            result = msgspec.json.encode(await self.operation(self.decode(payload or b"{}")))
        except msgspec.ValidationError as error:
            return self._fault("invalid_value", f"{name}: {error}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._fault("invalid_json", f"{name}: {error}")
        except ServiceError as error:
            if error.spec.kind == "server_error":
                log.warning("call failed", operation=name, code=error.code, reason=error.message)
            return self._fault(error.code, error.message, error.param or "")
        except Exception:
            # The caller must not wait for an answer that never comes; what happened is in the log.
            log.exception("call failed", operation=name)
            return self._fault("internal_error", f"{name} failed inside the {self.service} service; its log says why.")
        if len(result) > _MAX_REPLY_BYTES:
            return self._fault("request_too_large", f"The answer to {name} does not fit into a message; ask for less.")
        ANSWERS.labels(self.name, "ok").inc()
        return msgspec.json.encode(Reply(result=msgspec.Raw(result)))

    def _fault(self, code: str, message: str, param: str = "") -> bytes:
        tracing.failed(code)
        ANSWERS.labels(self.name, code).inc()
        self.tally.failed(code, message if ERRORS[code].kind == "server_error" else "")
        return msgspec.json.encode(Reply(error=Fault(code=code, message=message, param=param)))
