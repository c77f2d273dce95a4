"""Errors as the Anthropic SDKs read them."""

from typing import Final

import msgspec

from libs.kit.errors import ServiceError

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
