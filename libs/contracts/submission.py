"""The headers of a request on its way to a worker: said by gateways and by schedulers."""

from typing import Final

from libs.contracts.inference import ATTEMPT_HEADER, ENVELOPE_HEADER, Envelope

_EXPRESS: Final = f"NATS/1.0\r\n{ENVELOPE_HEADER}: %b\r\n\r\n".encode()
_STORED: Final = f"NATS/1.0\r\n{ENVELOPE_HEADER}: %b\r\nNats-Msg-Id: %b:%d\r\n%b\r\n".encode()

_RUN: Final = f"NATS/1.0\r\n{ENVELOPE_HEADER}: %b\r\n{ATTEMPT_HEADER}: %d\r\n\r\n".encode()


def run_headers(envelope_json: bytes, attempt: int) -> bytes:
    """For a worker that is to run it as this attempt."""
    return _RUN % (envelope_json, attempt)


def express_headers(envelope_json: bytes) -> bytes:
    """For a scheduler that may hand the request over at once; nothing is stored, so nothing else is needed."""
    return _EXPRESS % envelope_json


def stored_headers(envelope_json: bytes, envelope: Envelope) -> bytes:
    """For the stream, which keeps one message per request and retry. `envelope_json` is `envelope`, encoded."""
    # Values are JSON, hex and a checked traceparent: none can hold a line break.
    trace = b"traceparent: %b\r\n" % envelope.traceparent.encode() if envelope.traceparent else b""
    return _STORED % (envelope_json, envelope.request_id.encode(), envelope.retry, trace)
