"""Errors and limits as the Anthropic SDKs read them."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway.dialects.left import Left

_OVERLOADED: Final = frozenset({"queue_full", "queue_timeout", "no_worker"})
_OVERLOADED_STATUS: Final = 529
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED_STATUS: "overloaded_error",
}


class Anthropic:
    """`{"type": "error", "error": {type, message}, "request_id"}`, and our `code` and `param` beside them."""

    request_id_headers: tuple[bytes, ...] = (b"request-id", b"x-request-id")

    def status(self, error: ServiceError) -> int:
        """As the code says, but 529 where the platform has no capacity."""
        return _OVERLOADED_STATUS if error.spec.code in _OVERLOADED else error.spec.status

    def body(self, error: ServiceError, request_id: str) -> bytes:
        """The error document."""
        status = self.status(error)
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        fields = {"type": kind, "message": error.message, "code": error.spec.code, "param": error.param}
        return msgspec.json.encode({"type": "error", "error": fields, "request_id": request_id})

    def event(self, error: ServiceError, request_id: str, last_sent: bytes) -> bytes:  # noqa: ARG002 - OpenAI numbers
        """The same document as a named event; nothing may follow."""
        return b"event: error\ndata: %b\n\n" % self.body(error, request_id)

    def limit_lines(self, left: Iterable[Left]) -> bytes:
        """`anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`; a reset is a moment (RFC 3339)."""
        now_s = clock.unix_ms() / 1000
        return b"".join(
            b"anthropic-ratelimit-%b-limit: %d\r\nanthropic-ratelimit-%b-remaining: %d\r\n"
            b"anthropic-ratelimit-%b-reset: %b\r\n"
            % (one.name, one.limit, one.name, one.remaining, one.name, _moment(now_s + one.reset_s))
            for one in left
        )


def _moment(unix_s: float) -> bytes:
    return f"{datetime.fromtimestamp(math.ceil(unix_s), UTC):%Y-%m-%dT%H:%M:%SZ}".encode()
