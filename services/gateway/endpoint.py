"""The hot path: one coroutine per request, from the client's headers to its last byte."""

import re
from typing import Any, Final, Protocol

import structlog

from libs.contracts import subjects
from libs.contracts.inference import Envelope, ServiceClass
from libs.contracts.requests import RequestBody, RouteContract
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import checked
from services.gateway import capture, replies, spans
from services.gateway.bodies import ClientGoneError, decode, read_body
from services.gateway.exchange import Connection, Exchange
from services.gateway.fleet import Fleet, Target, unknown_model
from services.gateway.identity import Keyring, Principal
from services.gateway.inflight import InFlight
from services.gateway.limits.limiter import Limiter
from services.gateway.mirror import Mirror
from services.gateway.relay import Relay
from services.gateway.reports import Reports
from services.gateway.settings import Settings
from services.gateway.splits import Divider
from services.gateway.watch import Watch

log = structlog.get_logger(__name__)

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_WANTED: Final = frozenset(
    (
        b"authorization",
        b"x-api-key",
        b"content-length",
        b"x-request-id",
        b"x-llmos-class",
        b"x-llmos-episode",
        b"x-llmos-tenant",
        b"traceparent",
    )
)
_MAX_USER: Final = 256
_CLASSES: Final = {item.value.encode(): item for item in ServiceClass}
_TIERS: Final = {
    "priority": ServiceClass.REALTIME,
    "flex": ServiceClass.BATCH,
    "batch": ServiceClass.BATCH,
}


class Request(Connection, Protocol):
    """A client's request whose headers are complete, and its connection."""

    route: RouteContract
    method: bytes
    headers: list[tuple[bytes, bytes]]
    """Names are in lower case."""

    async def receive(self) -> dict[str, Any]:
        """The next part of the body, as an ASGI message."""


class Endpoint:
    """Serves every route that takes work."""

    def __init__(  # noqa: PLR0913 - the parts that the hot path joins
        self,
        settings: Settings,
        *,
        instance: str,
        keyring: Keyring,
        fleet: Fleet,
        relay: Relay,
        watch: Watch,
        reports: Reports,
        divider: Divider,
        mirror: Mirror,
        limiter: Limiter | None,
    ) -> None:
        """Join the parts."""
        self._settings = settings
        self._instance = instance
        self._keyring = keyring
        self._fleet = fleet
        self._relay = relay
        self._watch = watch
        self._reports = reports
        self._divider = divider
        self._mirror = mirror
        self._limiter = limiter

    async def serve(self, request: Request) -> None:
        """Answer one request and announce its end, whatever happens."""
        exchange = Exchange(request.route, request)
        inflight: InFlight | None = None
        if tracing.is_on():
            # One that waited in its connection was started from within the request before.
            tracing.enter(None)
        try:
            inflight = await self._admit(exchange, request)
            self._relay.submit(inflight)
            request.watch(inflight.on_client_gone)
            await replies.send(exchange, inflight)
        except ServiceError as error:
            await replies.send_error(exchange, error)
        except ClientGoneError:
            exchange.cancelled()
        except Exception:
            log.exception("request crashed", route=request.route.path, client_request_id=exchange.client_request_id)
            await replies.send_error(exchange, ServiceError("internal_error", "Something broke inside."))
        except BaseException:
            # The server cancels what outlives the drain.
            exchange.cancelled()
            raise
        finally:
            request.watch(None)
            if inflight is not None:
                self._relay.forget(inflight)
            if self._limiter is not None and exchange.reservation is not None:
                self._limiter.settle(exchange.reservation, exchange, inflight)
            self._reports.finish(exchange, inflight)
            if exchange.span is not None:
                spans.end(exchange.span, exchange, inflight)
            if exchange.division is not None and inflight is not None:
                self._mirror.offer(exchange, inflight, exchange.division)

    async def _admit(self, exchange: Exchange, request: Request) -> InFlight:
        """Everything between the headers and the queue.

        Raises:
            ServiceError: the request is refused.
            ClientGoneError: the client left before it was complete.
        """
        if request.method != b"POST":
            method = request.method.decode("ascii")
            raise ServiceError("method_not_allowed", f"{method} is not offered here; POST is.")
        headers = {name: value for name, value in request.headers if name in _WANTED}
        given_id = headers.get(b"x-request-id")
        if given_id is not None and _REQUEST_ID.fullmatch(given_id):
            exchange.client_request_id = given_id.decode()
        principal = self._keyring.identify(headers.get(b"authorization", b""), headers.get(b"x-api-key", b""))
        if principal.is_acting and (tenant := headers.get(b"x-llmos-tenant")):
            principal = self._keyring.acting_for(principal, tenant)
        exchange.principal = principal
        if tracing.is_on():
            spans.begin(exchange, headers.get(b"traceparent", b""))
        if exchange.route.permission not in principal.permissions:
            principal.require(exchange.route.permission)
        if self._watch.draining:
            raise ServiceError("shutting_down", "This gateway is stopping. Send it again.", retry_after_s=1.0)
        settings = self._settings
        body = await read_body(
            request.receive,
            headers.get(b"content-length", b""),
            limit=settings.max_body_bytes,
            timeout_s=settings.body_timeout_s,
        )
        fields = decode(exchange.route, body)
        exchange.model = fields.model
        exchange.stream = bool(fields.stream)
        if self._limiter is not None and (limited := self._limiter.limits_of(principal)):
            body = await self._limiter.admit(exchange, limited, fields, body)
        exchange.user = (fields.user or "")[:_MAX_USER]
        exchange.episode_id = _episode(headers.get(b"x-llmos-episode", b""))
        if settings.capture_content and exchange.route.path in capture.ROUTES:
            exchange.capture = capture.Capture(body)
        exchange.service_class = _service_class(headers.get(b"x-llmos-class", b""), fields)
        envelope = self._envelope(exchange, principal, fields, headers.get(b"traceparent", b""))
        if exchange.division is not None and exchange.division.mirrored and exchange.capture is None:
            exchange.capture = capture.Capture(body, announced=False)
        return InFlight(
            exchange,
            envelope,
            body,
            max_buffered_bytes=settings.max_buffer_bytes,
            max_response_bytes=settings.max_response_bytes,
        )

    def _envelope(self, exchange: Exchange, principal: Principal, fields: RequestBody, traceparent: bytes) -> Envelope:
        path = exchange.route.path
        request_id = exchange.request_id
        now_ms = clock.unix_ms()
        target = self._fleet.target(fields.model, path)
        if principal.models or target.details.owner:
            _check_model(principal, target)
        if self._divider.by_name:
            target = self._divider.divide(exchange, target)
        return Envelope(
            request_id=request_id,
            reply=subjects.gateway_reply(self._instance, request_id),
            route=path,
            model=target.model,
            pool=target.pool,
            service_class=exchange.service_class,
            tenant=principal.tenant,
            start_by_ms=now_ms + int(self._settings.queue_timeout_s * 1000),
            deadline_ms=now_ms + int(self._settings.request_timeout_s * 1000),
            submitted_ms=now_ms,
            stream=exchange.stream,
            max_tokens=fields.token_limit(),
            cache_salt=principal.cache_salt,
            traceparent=_trace(exchange, traceparent),
        )


def _trace(exchange: Exchange, given: bytes) -> str:
    """What others are told: our span, or what the client said, for whoever records although we do not."""
    if exchange.span is not None:
        return exchange.span.traceparent
    return checked(given) if given else ""


def _check_model(principal: Principal, target: Target) -> None:
    """Return if the key may ask this model.

    Raises:
        ServiceError: `model_not_allowed`; `model_not_found`, it is another tenant's.
    """
    if not principal.is_known(target.details.owner):
        raise unknown_model(target.model)
    if not principal.is_allowed(target.model):
        text = f"This API key may not ask `{target.model[:200]}`; `GET /v1/models` lists what it may."
        raise ServiceError("model_not_allowed", text, param="model")


def _episode(header: bytes) -> str:
    """The client's own name for what belongs together.

    Raises:
        ServiceError: `invalid_value`, it is not a short plain name.
    """
    if header and _REQUEST_ID.fullmatch(header) is None:
        raise ServiceError(
            "invalid_value",
            "x-llmos-episode must be 1 to 128 letters, digits, dots, dashes or underscores.",
            param="x-llmos-episode",
        )
    return header.decode()


def _service_class(header: bytes, fields: RequestBody) -> ServiceClass:
    """The header wins over the body's `service_tier`.

    Raises:
        ServiceError: `invalid_value`, the header names no class.
    """
    if not header:
        tier = fields.service_tier
        return ServiceClass.STANDARD if tier is None else _TIERS.get(tier, ServiceClass.STANDARD)
    found = _CLASSES.get(header)
    if found is None:
        raise ServiceError(
            "invalid_value", "`x-llmos-class` is `realtime`, `standard` or `batch`.", param="x-llmos-class"
        )
    return found
