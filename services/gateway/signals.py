"""`POST /v1/feedback`: a judgement of an answer or an episode, answered when the bus has it on disk."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from fastapi import Request, Response

from libs.contracts import subjects
from libs.contracts.feedback import RecordSignal, SignalKind, Source
from libs.kit import clock, signals
from libs.kit.bus import BusClient, BusError, BusPayloadError
from libs.kit.errors import ServiceError
from services.gateway.acks import refusal_in
from services.gateway.bodies import ClientGoneError, read_body
from services.gateway.identity import Principal
from services.gateway.relay import BUS_RETRY_S, QUEUE_RETRY_S
from services.gateway.routes.endpoints import read_body as decode

log = structlog.get_logger(__name__)

PATH: Final = "/v1/feedback"
IDEMPOTENCY_KEY: Final = "idempotency-key"
_PLAIN_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_ACK_TIMEOUT_S: Final = 2.0
_TRIES: Final = 3
_CLIENT_GONE: Final = 499


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a client says; the tenant is the key's, never the body's."""

    kind: SignalKind
    value: bool | float | str
    inference_id: str = ""
    episode_id: str = ""
    rater: str = ""
    tags: tuple[str, ...] = ()
    source: Source = Source.EXPLICIT
    time_ms: int | None = None


class Accepted(msgspec.Struct, frozen=True):
    """The judgement is stored; feedback records it."""

    id: str
    object: str = "feedback.signal"


class Signals:
    """Puts judgements into feedback's queue."""

    def __init__(
        self, bus: BusClient, *, max_body_bytes: int, body_timeout_s: float, ack_timeout_s: float = _ACK_TIMEOUT_S
    ) -> None:
        self._bus = bus
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s
        self._ack_timeout_s = ack_timeout_s

    def handler(self, identify: Callable[[Request], Awaitable[Principal]]) -> Callable[[Request], Awaitable[Response]]:
        """The function behind `PATH`; `identify` says whose request it is."""

        async def handle(request: Request) -> Response:
            principal = await identify(request)
            declared = request.headers.get("content-length", "").encode()
            try:
                body = await read_body(
                    request.receive, declared, limit=self._max_body_bytes, timeout_s=self._body_timeout_s
                )
            except ClientGoneError:
                return Response(status_code=_CLIENT_GONE)
            signal = read(body, request.headers.get(IDEMPOTENCY_KEY), principal)
            await self.store(signal)
            headers = {"x-request-id": clock.new_request_id()}
            answer = msgspec.json.encode(Accepted(signal.id))
            return Response(answer, status_code=201, media_type="application/json", headers=headers)

        return handle

    async def store(self, signal: RecordSignal) -> None:
        """Return when the stream has it; a repeat of its id is stored once.

        Raises:
            ServiceError: `bus_unavailable`, `queue_full` or `request_too_large`.
        """
        payload = msgspec.json.encode(signal)
        # The id is checked: it cannot hold a line break.
        headers = f"NATS/1.0\r\nNats-Msg-Id: {signal.id}\r\ncontent-type: application/json\r\n\r\n".encode()
        refusal = refusal_in(await self._publish(payload, headers))
        if refusal is None:
            return
        if refusal.is_full:
            text = "Too much feedback waits to be recorded. Send it again later."
            raise ServiceError("queue_full", text, retry_after_s=QUEUE_RETRY_S)
        log.error("signal refused by the stream", error=refusal.description)
        raise _bus_unavailable()

    async def _publish(self, payload: bytes, headers: bytes) -> bytes:
        """The stream's answer. Asked again, for the acknowledgement may be lost with a connection."""
        for attempt in range(_TRIES):
            if not self._bus.connected:
                break
            try:
                answer = await self._bus.request(
                    subjects.RECORD_SIGNAL, payload, headers=headers, timeout_s=self._ack_timeout_s
                )
            except BusPayloadError as error:
                text = f"The judgement does not fit into a message: {error}."
                raise ServiceError("request_too_large", text) from error
            except BusError as error:
                log.warning("signal not acknowledged", attempt=attempt, error=str(error))
            else:
                return answer.payload
        raise _bus_unavailable()


def read(body: bytes, idempotency_key: str | None, principal: Principal) -> RecordSignal:
    """The command that a body means.

    What comes again is known by its `Idempotency-Key`, else by the body itself if it says when it was given.

    Raises:
        ServiceError: an `invalid_request_error` that names the field at fault.
    """
    given: Judgement = decode(Judgement, body)
    now_ms = clock.unix_ms()
    command = RecordSignal(
        id=_signal_id(given, idempotency_key, principal.tenant),
        tenant=principal.tenant,
        kind=given.kind,
        value=given.value,
        time_ms=now_ms if given.time_ms is None else given.time_ms,
        inference_id=given.inference_id,
        episode_id=given.episode_id,
        rater=given.rater,
        source=given.source,
        tags=given.tags,
        key_id=principal.key_id,
    )
    return signals.checked(command, now_ms=now_ms)


def _signal_id(given: Judgement, idempotency_key: str | None, tenant: str) -> str:
    if idempotency_key is not None:
        if _PLAIN_KEY.fullmatch(idempotency_key) is None:
            text = "Idempotency-Key must be 1 to 255 visible ASCII characters."
            raise ServiceError("invalid_value", text, param="Idempotency-Key")
        return signals.signal_id(tenant, idempotency_key)
    if given.time_ms is not None:
        return signals.signal_id(tenant, f"body {hashlib.sha256(msgspec.json.encode(given)).hexdigest()}")
    return f"sig_{clock.new_request_id()}"


def _bus_unavailable() -> ServiceError:
    text = "The message bus cannot be reached. Send the judgement again soon, with the same Idempotency-Key."
    return ServiceError("bus_unavailable", text, retry_after_s=BUS_RETRY_S)
