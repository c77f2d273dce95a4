"""The headers of a submitted request: said by a gateway, and by a scheduler that passes one on to the stream."""

from typing import Final

from libs.contracts.inference import ENVELOPE_HEADER, Envelope

_EXPRESS: Final = f"NATS/1.0\r\n{ENVELOPE_HEADER}: %b\r\n\r\n".encode()
_STORED: Final = f"NATS/1.0\r\n{ENVELOPE_HEADER}: %b\r\nNats-Msg-Id: %b:%d\r\n%b\r\n".encode()


def express_headers(envelope_json: bytes) -> bytes:
    """For a scheduler that may hand the request over at once; nothing is stored, so nothing else is needed."""
    return _EXPRESS % envelope_json


def stored_headers(envelope_json: bytes, envelope: Envelope) -> bytes:
    """For the stream, which keeps one message per request and retry. `envelope_json` is `envelope`, encoded."""
    # Values are JSON, hex and a checked traceparent: none can hold a line break.
    trace = b"traceparent: %b\r\n" % envelope.traceparent.encode() if envelope.traceparent else b""
    return _STORED % (envelope_json, envelope.request_id.encode(), envelope.retry, trace)
