"""The spans of requests that are not on a hot path: the admin API, judgements, models."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.routing import Mount

from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import HEADER, checked
from libs.kit.telemetry.tracing import Kind, Span
from services.gateway.replies import TRACE_HEADER

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NEVER: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by machines all day long."""
_HEADER: Final = HEADER.encode()
_STRANGER: Final = 401
_SERVER_FAULT: Final = 500


async def serve(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Have `app` answer, in a span if this request is to be recorded and its key is known."""
    span = _begin(scope)
    # Also where it is none: a request that waited in its connection was started from within the one before.
    tracing.enter(span)
    if span is None:
        await app(scope, receive, send)
        return
    status, code = 0, ""

    async def note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            message["headers"] = [*message.get("headers", ()), (TRACE_HEADER, span.trace_id.encode())]
        await send(message)

    try:
        await app(scope, receive, note)
    except BaseException as error:
        code = tracing.error_of(error)
        raise
    finally:
        # A span that does not end is never sent.
        if status != _STRANGER:
            _end(span, scope, status, code)


def _begin(scope: Scope) -> Span | None:
    if scope["type"] != "http" or scope["path"] in _NEVER:
        return None
    given = checked(next((value for name, value in scope["headers"] if name == _HEADER), b""))
    return tracing.begin_trace(scope["method"], Kind.SERVER, given) if tracing.is_wanted(given) else None


def _end(span: Span, scope: Scope, status: int, code: str) -> None:
    """The route is known when the request was matched; a path that none has is somebody's own words."""
    route = scope.get("route")
    path = "unknown"
    if route is not None and not isinstance(route, Mount):
        path = f"{scope.get('root_path', '')}{route.path}"
    span.rename(f"{scope['method']} {path}")
    span.set({names.HTTP_METHOD: scope["method"], names.HTTP_ROUTE: path, names.HTTP_STATUS: status})
    span.end(code or (str(status) if status >= _SERVER_FAULT else ""))
