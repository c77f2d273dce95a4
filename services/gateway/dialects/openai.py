"""Errors as the OpenAI SDKs read them."""

import re
from typing import Any, Final

import msgspec

from libs.kit.errors import ServiceError

_SEQUENCE: Final = re.compile(rb'"sequence_number": ?(\d+)')


class OpenAI:
    """`{"error": {message, type, param, code}}`: all four keys, always."""

    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)

    def status(self, error: ServiceError) -> int:
        """As the code says."""
        return error.spec.status

    def body(self, error: ServiceError, request_id: str) -> bytes:  # noqa: ARG002 - the id is in a header only
        """The error document."""
        return msgspec.json.encode({"error": _fields(error)})

    def event(self, error: ServiceError, request_id: str, last_sent: bytes) -> bytes:  # noqa: ARG002 - as above
        """The same document as data of an event; the SDK raises on it. No `[DONE]` may follow."""
        return b"data: %b\n\n" % self.body(error, request_id)


class OpenAIResponses(OpenAI):
    """`/v1/responses`: the same document, but its streams have typed, numbered events."""

    def event(self, error: ServiceError, request_id: str, last_sent: bytes) -> bytes:  # noqa: ARG002 - as above
        """An `error` event; it also has the key `error`, on which the SDK raises."""
        numbers = _SEQUENCE.findall(last_sent)
        fields = _fields(error)
        event = {**fields, "type": "error", "sequence_number": int(numbers[-1]) + 1 if numbers else 0, "error": fields}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)


def _fields(error: ServiceError) -> dict[str, Any]:
    return {"message": error.message, "type": error.spec.kind, "param": error.param, "code": error.spec.code}
