"""What a worker did for a request that is recorded: one span per execution, from its acceptance to its end."""

from libs.contracts.inference import Envelope, Usage
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Kind, Span, Value


def begin(envelope: Envelope, *, attempt: int, version: str, worker: str) -> Span | None:
    """The span of an execution; None if its request is not recorded."""
    operation = names.operation_of(envelope.route)
    span = tracing.begin(f"{operation} {envelope.model}", Kind.INTERNAL, envelope.traceparent)
    if span is not None:
        said: dict[str, Value] = {
            names.OPERATION: operation,
            names.PROVIDER: names.LLMOS,
            names.REQUEST_ID: envelope.request_id,
            names.REQUEST_MODEL: envelope.model,
            names.REQUEST_STREAM: envelope.stream,
            names.RESPONSE_MODEL: version,
            names.ATTEMPT: attempt,
            names.RETRIES: envelope.retry,
            names.WORKER: worker,
        }
        if envelope.max_tokens:
            said[names.REQUEST_MAX_TOKENS] = envelope.max_tokens
        span.set(said)
    return span


def end(span: Span, outcome: str, usage: Usage | None, *, first_chunk_s: float | None, code: str) -> None:
    """It has ended; `first_chunk_s` is the time from its acceptance to the first bytes, `code` of its error."""
    said: dict[str, Value] = {names.OUTCOME: outcome}
    if usage is not None:
        said |= names.of_usage(usage)
    if first_chunk_s is not None:
        said[names.FIRST_CHUNK_S] = round(first_chunk_s, 6)
    span.set(said)
    span.end("" if outcome == "ok" else code or outcome)
