"""The span of a request on a hot path: begun when its key is known, ended when its end is announced.

Strangers have none: a collector must not be filled by whoever finds the port.
"""

from typing import Final

from libs.contracts.frames import is_direct
from libs.kit import clock
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import checked
from libs.kit.telemetry.tracing import Kind, Value
from services.gateway.exchange import Exchange
from services.gateway.inflight import UNPINNED, InFlight

_CLIENT_FAULT: Final = 400
_SERVER_FAULT: Final = 500
_NS_PER_MS: Final = 1_000_000


def begin(exchange: Exchange, traceparent: bytes) -> None:
    """Have this request recorded, if its client or chance wants it."""
    given = checked(traceparent) if traceparent else ""
    if not tracing.is_wanted(given):
        return
    started_ns = clock.unix_ns() - int((clock.monotonic_s() - exchange.arrived_s) * 1e9)
    exchange.span = tracing.begin_trace(f"POST {exchange.route.path}", Kind.SERVER, given, started_ns=started_ns)
    tracing.enter(exchange.span)


def end(span: tracing.Span, exchange: Exchange, inflight: InFlight | None) -> None:
    """Say how it went; nothing in it is a client's or a model's own words."""
    said: dict[str, Value] = {
        names.HTTP_METHOD: "POST",
        names.HTTP_ROUTE: exchange.route.path,
        names.HTTP_STATUS: exchange.status,
        names.OPERATION: names.operation_of(exchange.route.path),
        names.PROVIDER: names.LLMOS,
        names.REQUEST_ID: exchange.request_id,
        names.REQUEST_STREAM: exchange.stream,
        names.SERVICE_CLASS: exchange.service_class.value,
        names.TENANT: exchange.principal.tenant if exchange.principal else "",
        names.OUTCOME: exchange.outcome,
    }
    if exchange.first_byte_s:
        said[names.FIRST_CHUNK_S] = round(exchange.first_byte_s - exchange.arrived_s, 6)
    if inflight is not None:
        said.update(_of_the_work(inflight))
    if exchange.error_code:
        said[names.ERROR_TYPE] = exchange.error_code
    span.set(said)
    # By the conventions what a client did wrong is no error of its server.
    clients_fault = exchange.outcome == "error" and _CLIENT_FAULT <= exchange.status < _SERVER_FAULT
    span.end("" if clients_fault else exchange.error_code)


def lost(inflight: InFlight) -> None:
    """An attempt whose worker is gone, from its submission until that is known; the worker's own span went with it."""
    envelope = inflight.envelope
    started_ns = envelope.submitted_ms * _NS_PER_MS
    span = tracing.begin("lost attempt", Kind.INTERNAL, envelope.traceparent, started_ns=started_ns)
    if span is None:
        return
    said: dict[str, Value] = {names.REQUEST_ID: envelope.request_id, names.RETRIES: envelope.retry}
    if inflight.attempt != UNPINNED:
        said |= {names.WORKER: inflight.worker, names.ATTEMPT: inflight.attempt}
    span.set(said)
    span.end("worker_lost")


def _of_the_work(inflight: InFlight) -> dict[str, Value]:
    envelope, usage = inflight.envelope, inflight.usage
    said: dict[str, Value] = {
        names.REQUEST_MODEL: envelope.model,
        names.RESPONSE_MODEL: inflight.model_version,
        names.POOL: envelope.pool,
        names.WORKER: inflight.worker,
        names.RETRIES: envelope.retry,
        names.QUEUE_MS: inflight.queue_ms,
    }
    if inflight.attempt != UNPINNED:
        said[names.DIRECT] = is_direct(inflight.attempt)
    if envelope.max_tokens:
        said[names.REQUEST_MAX_TOKENS] = envelope.max_tokens
    if usage is not None:
        said |= names.of_usage(usage)
    return said
