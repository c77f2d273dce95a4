"""Builds the admin API: keys, reading, the call, the answer; and its OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from libs.kit.bus.stored import StoredPublisher
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from services.gateway.auditing import Auditor
from services.gateway.door import Door
from services.gateway.identity import Principal
from services.gateway.lineage.desk import LineageDesk
from services.gateway.proxies import Proxies
from services.gateway.routes import (
    aliases,
    audit,
    deployments,
    feedback,
    identity,
    letters,
    lineage,
    loops,
    presence,
    queues,
    rollouts,
    settings,
    tenants,
    training,
    versions,
    webhooks,
    workers,
)
from services.gateway.routes.endpoints import (
    Asked,
    Endpoint,
    check_text,
    read_body,
    read_conditions,
    read_idempotency_key,
    read_query,
)
from services.gateway.routes.openapi import Describer
from services.gateway.routes.problems import (
    REQUEST_ID,
    render,
    render_http_error,
    render_service_error,
    request_id_of,
)

log = structlog.get_logger(__name__)

PREFIX: Final = "/admin/v1"
ENDPOINTS: Final = (
    *versions.ENDPOINTS,
    *aliases.ENDPOINTS,
    *deployments.ENDPOINTS,
    *feedback.ENDPOINTS,
    *training.ENDPOINTS,
    *rollouts.ENDPOINTS,
    *loops.ENDPOINTS,
    *tenants.ENDPOINTS,
    *identity.ENDPOINTS,
    *audit.ENDPOINTS,
    *lineage.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *presence.ENDPOINTS,
    *workers.ENDPOINTS,
    *queues.ENDPOINTS,
    *letters.ENDPOINTS,
    *settings.ENDPOINTS,
)
_JSON: Final = "application/json"
_NOBODY: Final = Proxies()


def build_api(
    *,
    services: Mapping[str, Caller],
    door: Door | None,
    max_body_bytes: int,
    publisher: StoredPublisher | None = None,
    proxies: Proxies = _NOBODY,
) -> FastAPI:
    """The application behind `PREFIX`; without a door it answers 404 to everything.

    Args:
        services: who carries out the endpoints, by name.
        door: knows the keys and what each may do.
        max_body_bytes: the largest body that is read.
        publisher: of audit entries; without it nothing is recorded.
        proxies: who is believed about where a request came from.
    """
    app = FastAPI(
        title="llmos admin",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if door is not None else None,
        # A redirect to the path without its last slash would name the host that the client claims to ask.
        redirect_slashes=False,
    )
    app.add_exception_handler(ServiceError, render_service_error)
    app.add_exception_handler(HTTPException, render_http_error if door is not None else _off)
    app.add_exception_handler(Exception, _broken)
    if door is None:
        return app
    services = {**services, "lineage": LineageDesk(services)}
    describer = Describer(ENDPOINTS)
    auditor = Auditor(publisher, ENDPOINTS, services, prefix=PREFIX, proxies=proxies) if publisher is not None else None
    for endpoint in ENDPOINTS:
        app.add_api_route(
            endpoint.path,
            _handler(endpoint, services[endpoint.service], door, max_body_bytes, auditor),
            methods=[endpoint.method],
            response_model=None,
            status_code=endpoint.status,
            summary=endpoint.summary,
            operation_id=describer.name(endpoint),
            openapi_extra=describer.describe(endpoint),
        )
    describer.complete(app)
    return app


def _handler(
    endpoint: Endpoint, service: Caller, door: Door, max_body_bytes: int, auditor: Auditor | None
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        principal = door.admit(request, endpoint.permission)
        asked = await _read(endpoint, request, principal, max_body_bytes)
        request.state.conditional = asked.conditional

        async def work() -> Any:
            return await service.call(endpoint.operation, endpoint.call(asked))

        result = await (auditor.carry_out(endpoint, request, principal, asked, work) if auditor else work())
        log.info("admin call", operation=endpoint.operation, author=asked.author, path=request.url.path)
        if endpoint.select is not None:
            result = endpoint.select(asked, result)
        return _answer(endpoint, request, result)

    return handle


async def _read(endpoint: Endpoint, request: Request, principal: Principal, max_body_bytes: int) -> Asked:
    headers = request.headers
    body = await _receive(request, max_body_bytes) if endpoint.body is not None else b""
    check_text({**request.path_params, **request.query_params}, body)
    if_match, must_be_new = (
        read_conditions(headers.get("if-match"), headers.get("if-none-match"))
        if endpoint.conditional
        else (None, False)
    )
    return Asked(
        path=request.path_params,
        query=read_query(endpoint.query or _Nothing, request.query_params),
        body=read_body(endpoint.body, body) if endpoint.body is not None else None,
        author=principal.key_id,
        tenant=principal.reach,
        permissions=principal.permissions,
        models=principal.models,
        idempotency_key=read_idempotency_key(headers.get("idempotency-key")) if endpoint.idempotent else "",
        if_match=if_match,
        must_be_new=must_be_new,
    )


class _Nothing(msgspec.Struct):
    """No parameter at all."""


async def _receive(request: Request, limit: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise ServiceError("request_too_large", f"The body is larger than {limit} bytes.")
        parts.append(part)
    return b"".join(parts)


def _answer(endpoint: Endpoint, request: Request, result: Any) -> Response:
    # An answer may hold a key, or what people wrote.
    headers = {REQUEST_ID: request_id_of(request), "cache-control": "no-store"}
    if endpoint.tag is not None:
        headers["etag"] = f'"{endpoint.tag(result)}"'
    if endpoint.status == 204:
        return Response(status_code=204, headers=headers)
    body = msgspec.json.encode(result)
    return Response(body, status_code=endpoint.status, media_type=_JSON, headers=headers)


def _off(request: Request, _: Exception) -> Response:
    text = "The admin API is off: this gateway knows no admin keys (GATEWAY_ADMIN_KEYS_FILE, GATEWAY_IDENTITY)."
    return render(request, ServiceError("not_found", text))


def _broken(request: Request, error: Exception) -> Response:
    log.error("admin call crashed", path=request.url.path, exc_info=error)
    return render(request, ServiceError("internal_error", "Something broke inside; the gateway's log says what."))
