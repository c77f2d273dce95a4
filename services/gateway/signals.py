"""`POST /v1/feedback` and `/v1/feedback/batch`: judgements, answered when the bus has them on disk."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from fastapi import Request, Response

from libs.contracts import subjects
from libs.contracts.feedback import RecordSignal
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, BusPayloadError
from libs.kit.errors import ServiceError
from libs.kit.signals import digest_of
from libs.kit.telemetry import tracing
from services.gateway.acks import refusal_in
from services.gateway.bodies import ClientGoneError, read_body
from services.gateway.identity import Principal
from services.gateway.judgements import Recent, read, read_batch
from services.gateway.ways import BUS_RETRY_S, QUEUE_RETRY_S

log = structlog.get_logger(__name__)

PATH: Final = "/v1/feedback"
BATCH_PATH: Final = "/v1/feedback/batch"
IDEMPOTENCY_KEY: Final = "idempotency-key"
_ACK_TIMEOUT_S: Final = 2.0
_TRIES: Final = 3
_AT_ONCE: Final = 250
"""Rows of one batch on their way to the stream."""
_CLIENT_GONE: Final = 499

Identify = Callable[[Request], Awaitable[Principal]]
Handler = Callable[[Request], Awaitable[Response]]


class Accepted(msgspec.Struct, frozen=True):
    """The judgement is stored; feedback records it."""

    id: str
    object: str = "feedback.signal"


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why one row was not taken in."""

    code: str
    message: str
    type: str
    param: str | None = None


class RowResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one row: an id, or an error."""

    id: str = ""
    error: Fault | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of each row, in their order."""

    accepted: int
    refused: int
    results: list[RowResult]
    object: str = "feedback.batch"


class Signals:
    """Puts judgements into feedback's queue."""

    def __init__(
        self, bus: BusClient, *, max_body_bytes: int, body_timeout_s: float, ack_timeout_s: float = _ACK_TIMEOUT_S
    ) -> None:
        self._bus = bus
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s
        self._ack_timeout_s = ack_timeout_s
        self._recent = Recent()

    def handler(self, identify: Identify) -> Handler:
        """The function behind `PATH`; `identify` says whose request it is."""

        async def one(body: bytes, key: str | None, principal: Principal) -> Response:
            signal = read(body, key, principal)
            await self.store(signal)
            return _answer(Accepted(signal.id), status=201)

        return self._reading(identify, one)

    def batch_handler(self, identify: Identify) -> Handler:
        """The function behind `BATCH_PATH`."""

        async def many(body: bytes, key: str | None, principal: Principal) -> Response:
            results = await self._store_all(read_batch(body, key, principal))
            accepted = sum(one.error is None for one in results)
            return _answer(BatchResult(accepted, len(results) - accepted, results), status=200)

        return self._reading(identify, many)

    def _reading(
        self, identify: Identify, take: Callable[[bytes, str | None, Principal], Awaitable[Response]]
    ) -> Handler:
        async def handle(request: Request) -> Response:
            principal = await identify(request)
            declared = request.headers.get("content-length", "").encode()
            try:
                body = await read_body(
                    request.receive, declared, limit=self._max_body_bytes, timeout_s=self._body_timeout_s
                )
            except ClientGoneError:
                return Response(status_code=_CLIENT_GONE)
            return await take(body, request.headers.get(IDEMPOTENCY_KEY), principal)

        return handle

    async def _store_all(self, rows: list[RecordSignal | ServiceError]) -> list[RowResult]:
        """What became of each.

        Raises:
            ServiceError: none was taken in, and not by a fault of its own.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def store(row: RecordSignal | ServiceError) -> RecordSignal | ServiceError:
            if isinstance(row, ServiceError):
                return row
            async with gate:
                try:
                    await self.store(row)
                except ServiceError as error:
                    return error
            return row

        done = await asyncio.gather(*map(store, rows))
        faults = [one for one in done if isinstance(one, ServiceError)]
        if len(faults) == len(done) and (away := next((one for one in faults if one.spec.retryable), None)):
            raise away
        return [_fault(one) if isinstance(one, ServiceError) else RowResult(one.id) for one in done]

    async def store(self, signal: RecordSignal) -> None:
        """Return when the stream has it; a repeat of it is stored once.

        Raises:
            ServiceError: `bus_unavailable`, `queue_full`, `request_too_large` or `idempotency_conflict`.
        """
        digest = digest_of(signal)
        self._recent.check(signal.id, digest)
        payload = msgspec.json.encode(signal)
        # Only the same id with the same judgement is a repeat to the stream; with another one it must reach feedback,
        # which says so. The id is checked: it cannot hold a line break.
        message_id = f"{signal.id}.{digest.hex()}"
        lines = f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n{tracing.header_line(tracing.current())}"
        headers = f"{lines}content-type: application/json\r\n\r\n".encode()
        refusal = refusal_in(await self._publish(payload, headers))
        if refusal is None:
            self._recent.add(signal.id, digest)
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


def _answer(told: msgspec.Struct, *, status: int) -> Response:
    headers = {"x-request-id": clock.new_request_id()}
    return Response(msgspec.json.encode(told), status_code=status, media_type="application/json", headers=headers)


def _fault(error: ServiceError) -> RowResult:
    return RowResult(error=Fault(error.code, error.message, error.spec.kind, error.param))


def _bus_unavailable() -> ServiceError:
    text = "The message bus cannot be reached. Send the judgement again soon, with the same Idempotency-Key."
    return ServiceError("bus_unavailable", text, retry_after_s=BUS_RETRY_S)
