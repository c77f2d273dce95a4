"""Every error code that leaves the platform: its HTTP status, its kind, and whether trying again can help.

Codes are snake_case and stable for ever. The gateway renders them in the dialect of the endpoint.
"""

from dataclasses import dataclass
from typing import Final, Literal

ErrorKind = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "rate_limit_error",
    "insufficient_quota",
    "server_error",
]


@dataclass(frozen=True)
class ErrorSpec:
    """What one error code means to HTTP and to the client's retry logic."""

    code: str
    status: int
    kind: ErrorKind
    retryable: bool = False


_SPECS: Final = (
    ErrorSpec("invalid_json", 400, "invalid_request_error"),
    ErrorSpec("invalid_value", 400, "invalid_request_error"),
    ErrorSpec("missing_field", 400, "invalid_request_error"),
    ErrorSpec("unknown_parameter", 400, "invalid_request_error"),
    ErrorSpec("unsupported_parameter", 400, "invalid_request_error"),
    ErrorSpec("context_length_exceeded", 400, "invalid_request_error"),
    ErrorSpec("unsupported_route", 400, "invalid_request_error"),
    ErrorSpec("invalid_api_key", 401, "authentication_error"),
    ErrorSpec("forbidden", 403, "permission_error"),
    ErrorSpec("model_not_allowed", 403, "permission_error"),
    ErrorSpec("model_not_found", 404, "invalid_request_error"),
    ErrorSpec("not_found", 404, "invalid_request_error"),
    ErrorSpec("version_not_found", 404, "invalid_request_error"),
    ErrorSpec("interaction_not_found", 404, "invalid_request_error"),
    ErrorSpec("conflict", 409, "invalid_request_error"),
    ErrorSpec("idempotency_conflict", 409, "invalid_request_error"),
    ErrorSpec("version_in_use", 409, "invalid_request_error"),
    ErrorSpec("unsafe_file", 422, "invalid_request_error"),
    ErrorSpec("invalid_manifest", 422, "invalid_request_error"),
    ErrorSpec("digest_mismatch", 422, "invalid_request_error"),
    ErrorSpec("incompatible_base", 422, "invalid_request_error"),
    ErrorSpec("job_not_found", 404, "invalid_request_error"),
    ErrorSpec("invalid_setting", 422, "invalid_request_error"),
    ErrorSpec("bad_dataset", 422, "invalid_request_error"),
    ErrorSpec("training_diverged", 422, "invalid_request_error"),
    ErrorSpec("out_of_memory", 507, "server_error"),
    ErrorSpec("disk_full", 507, "server_error"),
    ErrorSpec("method_not_allowed", 405, "invalid_request_error"),
    ErrorSpec("length_required", 411, "invalid_request_error"),
    ErrorSpec("request_too_large", 413, "invalid_request_error"),
    ErrorSpec("rate_limit_exceeded", 429, "rate_limit_error", retryable=True),
    ErrorSpec("insufficient_quota", 429, "insufficient_quota"),
    ErrorSpec("client_closed_request", 499, "invalid_request_error"),
    ErrorSpec("internal_error", 500, "server_error"),
    ErrorSpec("engine_error", 500, "server_error", retryable=True),
    ErrorSpec("worker_lost", 502, "server_error", retryable=True),
    ErrorSpec("frames_lost", 502, "server_error", retryable=True),
    ErrorSpec("request_quarantined", 500, "server_error"),
    ErrorSpec("queue_full", 503, "server_error", retryable=True),
    ErrorSpec("queue_timeout", 503, "server_error", retryable=True),
    ErrorSpec("cancelled_by_operator", 503, "server_error"),
    ErrorSpec("no_worker", 503, "server_error", retryable=True),
    ErrorSpec("bus_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("storage_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("registry_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("feedback_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("scheduler_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("rollout_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("events_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("identity_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("audit_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("trainer_unavailable", 503, "server_error", retryable=True),
    ErrorSpec("shutting_down", 503, "server_error", retryable=True),
    ErrorSpec("deadline_exceeded", 504, "server_error"),
)

ERRORS: Final = {spec.code: spec for spec in _SPECS}


def spec_of(code: str) -> ErrorSpec:
    """The meaning of `code`; an unknown one is an internal error, so that a newer worker cannot break a gateway."""
    return ERRORS.get(code, ERRORS["internal_error"])
