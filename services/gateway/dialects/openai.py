"""Errors and limits as the OpenAI SDKs read them."""

import math
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from libs.kit.errors import ServiceError
from services.gateway.dialects.left import Left

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

    def limit_lines(self, left: Iterable[Left]) -> bytes:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a reset is a length of time."""
        return b"".join(
            b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
            % (one.name, one.limit, one.name, one.remaining, one.name, duration_text(one.reset_s))
            for one in left
        )


class OpenAIResponses(OpenAI):
    """`/v1/responses`: the same document, but its streams have typed, numbered events."""

    def event(self, error: ServiceError, request_id: str, last_sent: bytes) -> bytes:  # noqa: ARG002 - as above
        """An `error` event; it also has the key `error`, on which the SDK raises."""
        numbers = _SEQUENCE.findall(last_sent)
        fields = _fields(error)
        event = {**fields, "type": "error", "sequence_number": int(numbers[-1]) + 1 if numbers else 0, "error": fields}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)


def duration_text(seconds: float) -> bytes:
    """As the SDKs' users know it: `1s`, `6m0s`, `1h0m0s`."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, rest)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest


def _fields(error: ServiceError) -> dict[str, Any]:
    return {"message": error.message, "type": error.spec.kind, "param": error.param, "code": error.spec.code}
