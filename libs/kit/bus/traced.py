"""What takes batches from a stream, as one span that names the traces of its messages."""

from collections.abc import Iterable
from typing import Final

from libs.kit.bus.headers import header_value
from libs.kit.bus.parser import Message
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import HEADER
from libs.kit.telemetry.tracing import Kind, Within

_HEADER: Final = HEADER.encode()


def received(stream: str, batch: list[Message]) -> Within:
    """The block in which a batch is dealt with.

    A span of its own trace, for it has as many causes as messages; none where no message is of a recorded trace.
    """
    if not tracing.is_on():
        return Within(None)
    span = tracing.begin_linked(f"process {stream}", Kind.CONSUMER, _traces(batch))
    if span is not None:
        span.set(
            {
                names.MESSAGING_SYSTEM: names.NATS,
                names.MESSAGING_OPERATION: "process",
                names.MESSAGING_DESTINATION: stream,
                names.MESSAGING_COUNT: len(batch),
            }
        )
    return Within(span)


def traceparent_of(message: Message) -> str:
    """What a message says of the trace that it belongs to; empty for nothing."""
    value = header_value(message.headers, _HEADER) if message.headers else None
    return value.decode("latin-1") if value is not None else ""


def _traces(batch: list[Message]) -> Iterable[str]:
    return (value for message in batch if (value := traceparent_of(message)))
