"""What a scheduler did with a request that is recorded: one span per offer, from submission to hand-over."""

from libs.contracts.inference import Envelope
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Kind, Span, Value
from services.scheduler.domain.held import Held
from services.scheduler.domain.offers import Offer

_NS_PER_MS = 1_000_000


def begin(envelope: Envelope) -> Span | None:
    """The span of a request that leaves this scheduler's hands; its beginning is the gateway's submission."""
    started_ns = envelope.submitted_ms * _NS_PER_MS
    span = tracing.begin("schedule", Kind.CONSUMER, envelope.traceparent, started_ns=started_ns)
    if span is not None:
        span.set(_said(envelope))
    return span


def told(span: Span, held: Held) -> bytes:
    """The envelope for the worker, whose span is to be below ours."""
    # Both are as long, and nothing is encoded again. It is the last field, so a client's words cannot be meant.
    before, _, after = held.raw_envelope.rpartition(held.envelope.traceparent.encode())
    return before + span.traceparent.encode() + after


def end(span: Span, offer: Offer) -> None:
    """It is handed over."""
    span.set({names.WORKER: offer.worker.id, names.ATTEMPT: offer.execution[1]})
    span.end()


def failed(held: Held, code: str) -> None:
    """It will not run."""
    span = begin(held.envelope)
    if span is not None:
        span.end(code)


def _said(envelope: Envelope) -> dict[str, Value]:
    return {
        names.REQUEST_ID: envelope.request_id,
        names.POOL: envelope.pool,
        names.SERVICE_CLASS: envelope.service_class.value,
        names.RETRIES: envelope.retry,
    }
