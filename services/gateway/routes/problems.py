"""Errors of the admin API: `application/problem+json` (RFC 9457) with our code beside the standard fields."""

import math
from typing import Final

import msgspec
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from libs.kit import clock
from libs.kit.errors import ServiceError

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "x-request-id"
PRECONDITION_FAILED: Final = 412
_MOST_ID: Final = 128


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why not."""

    type: str
    """`urn:llmos:error:<code>`."""
    title: str
    status: int
    detail: str
    """What happened and what to do."""
    code: str
    request_id: str
    param: str = ""
    """The field, parameter or header at fault."""


def request_id_of(request: Request) -> str:
    """The client's own id where it gives a usable one, else a fresh one; the same for the whole request."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get(REQUEST_ID, "")
        usable = 0 < len(given) <= _MOST_ID and given.isascii() and given.isprintable()
        request.state.request_id = given if usable else clock.new_request_id()
    chosen: str = request.state.request_id
    return chosen


def render(request: Request, error: ServiceError, *, status: int = 0) -> Response:
    """The problem document for `error`."""
    spec = error.spec
    problem = Problem(
        type=f"urn:llmos:error:{spec.code}",
        title=spec.code.replace("_", " ").capitalize(),
        status=status or spec.status,
        detail=error.message,
        code=spec.code,
        request_id=request_id_of(request),
        param=error.param or "",
    )
    headers = {REQUEST_ID: problem.request_id}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def render_service_error(request: Request, error: Exception) -> Response:
    """For FastAPI: a typed failure. One that a client's own condition has caused is 412, as HTTP wants it."""
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this type
    failed_condition = error.code == "conflict" and getattr(request.state, "conditional", False)
    return render(request, error, status=PRECONDITION_FAILED if failed_condition else 0)


def render_http_error(request: Request, error: Exception) -> Response:
    """For FastAPI: 404 and 405 of the framework."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        mapped = ServiceError("method_not_allowed", f"{where} is not offered; the path takes another method.")
    else:
        mapped = ServiceError("not_found", f"{where} does not exist; /admin/v1/openapi.json lists what does.")
    response = render(request, mapped)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
