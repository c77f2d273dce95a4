"""Everything that is not hot: models, health, metrics, and errors for what does not exist."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from libs.contracts.permissions import Permission
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.errors import ServiceError
from libs.kit.health import Health
from services.gateway.dialects import dialect_of
from services.gateway.door import Door
from services.gateway.fleet import Fleet, Target, unknown_model
from services.gateway.identity import Principal
from services.gateway.metrics import Metrics
from services.gateway.replies import retry_headers
from services.gateway.signals import BATCH_PATH, Signals
from services.gateway.signals import PATH as SIGNALS_PATH


def build_admin(
    *,
    bus: BusClient,
    fleet: Fleet,
    health: Health,
    door: Door,
    metrics: Metrics,
    signals: Signals,
) -> FastAPI:
    """The small application behind the hot path. It has no interactive pages: those need a CDN.

    Its functions are coroutines although they wait for nothing: others would run in threads beside the event loop.
    """
    # A redirect to the path without its last slash would name the host that the client claims to ask.
    app = FastAPI(title="llmos gateway", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(ServiceError, render_service_error)
    app.add_exception_handler(HTTPException, _render_http_error)

    reader = _needs(door, Permission.MODELS_READ)

    @app.get("/v1/models")
    async def list_models(asking: Annotated[Principal, Depends(reader)]) -> JSONResponse:
        """Every model that the key can ask, in a shape that both SDK families read."""
        data = [_model(target) for target in fleet.targets if _is_for(asking, target)]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return JSONResponse({"object": "list", "data": data, "has_more": False, **ends})

    @app.get("/v1/models/{model:path}")
    async def get_model(model: str, asking: Annotated[Principal, Depends(reader)]) -> JSONResponse:
        """One model."""
        for target in fleet.targets:
            if target.model == model and _is_for(asking, target):
                return JSONResponse(_model(target))
        raise unknown_model(model)

    judge = _needs(door, Permission.FEEDBACK_WRITE)
    app.add_api_route(SIGNALS_PATH, signals.handler(judge), methods=["POST"], response_model=None, status_code=201)
    app.add_api_route(BATCH_PATH, signals.batch_handler(judge), methods=["POST"], response_model=None)

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        """Whether the process answers at all."""
        return PlainTextResponse("ok")

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether requests can be served, what is missing if not, and what is missing for other things."""
        found = await health.look()
        body = {
            "ready": found.is_ready,
            "missing": found.missing,
            "degraded": found.degraded,
            "bus_error": bus.last_error,
        }
        return JSONResponse(body, status_code=200 if found.is_ready else 503)

    @app.get("/metrics")
    async def show_metrics() -> Response:
        """For Prometheus."""
        metrics.how_it_is(await health.look(), health.depends)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _needs(door: Door, permission: Permission) -> Callable[[Request], Awaitable[Principal]]:
    """Lets in who has this permission; each route that takes a key names one."""

    async def principal(request: Request) -> Principal:
        return door.admit(request, permission)

    return principal


def _is_for(asking: Principal, target: Target) -> bool:
    return asking.is_allowed(target.model) and asking.is_known(target.details.owner)


def _model(target: Target) -> dict[str, Any]:
    created_s = target.known_since_ms // 1000
    return {
        "id": target.model,
        "object": "model",
        "created": created_s,
        "owned_by": "llmos",
        "type": "model",
        "display_name": target.model,
        "created_at": datetime.fromtimestamp(created_s, UTC).isoformat().replace("+00:00", "Z"),
        "version": target.details.version or None,
        "max_model_len": target.details.max_model_len or None,
        "pool": target.pool,
        "ready_workers": target.ready_workers,
        "routes": sorted(target.routes),
    }


def render_service_error(request: Request, error: Exception) -> Response:
    """For FastAPI: a typed failure, in the dialect that the client seems to speak."""
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this type
    anthropic = "anthropic-version" in request.headers
    dialect = dialect_of("anthropic" if anthropic else "openai")
    request_id = clock.new_request_id()
    status = dialect.status(error)
    headers = dict.fromkeys(dialect.request_id_headers, request_id.encode())
    headers |= retry_headers(error, status, work_began=False)
    response = Response(dialect.body(error, request_id), status_code=status, media_type="application/json")
    response.raw_headers.extend(headers.items())
    return response


def _render_http_error(request: Request, error: Exception) -> Response:
    """404 and 405 of the framework, in our shape."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        mapped = ServiceError("method_not_allowed", f"{where} is not offered; the path takes another method.")
    elif error.status_code < 500:
        mapped = ServiceError("not_found", f"{where} does not exist.")
    else:
        mapped = ServiceError("internal_error", "Something broke inside.")
    response = render_service_error(request, mapped)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
