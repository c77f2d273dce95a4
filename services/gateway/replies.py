"""Writes answers and errors to the client and keeps account of what it has received."""

import random
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway.exchange import Exchange
from services.gateway.inflight import InFlight

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

DEFAULT_RETRY_S: Final = 1.0
_JITTER: Final = 0.2
_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_CAPACITY: Final = (503, 529)
_ENGINE_FAULT: Final = 500


async def send_whole(exchange: Exchange, inflight: InFlight, send: Send) -> None:
    """Send an answer that is complete.

    Raises:
        ServiceError: `engine_error`; the engine's own words stay inside.
    """
    if inflight.status >= _ENGINE_FAULT:
        raise ServiceError("engine_error", "The engine failed. Send the request again.")
    body = inflight.take_bytes()
    headers = _answer_headers(exchange, inflight)
    headers.append((b"content-length", b"%d" % len(body)))
    await _start(exchange, inflight.status, headers, send)
    await _send_body(exchange, body, send, more=False)
    _note_end(exchange, inflight)


async def send_stream(exchange: Exchange, inflight: InFlight, send: Send) -> None:
    """Send an answer as it arrives; whatever is ready goes out in one piece."""
    # From here on nothing can be submitted again, so its body need not be kept.
    inflight.body = b""
    await _start(exchange, inflight.status, _answer_headers(exchange, inflight) + _STREAM, send)
    exchange.sending_since_s = 0.0
    last_sent = b""
    while True:
        # Read before the bytes: an end that is seen here has all its bytes before it.
        ended = inflight.ended
        body = inflight.take_bytes()
        if inflight.client_gone:
            break
        if ended:
            if inflight.error is not None:
                exchange.failed(inflight.error)
                body += exchange.dialect.event(inflight.error, exchange.client_request_id, body or last_sent)
            await _send_body(exchange, body, send, more=False)
            break
        if body:
            last_sent = body
            await _send_body(exchange, body, send, more=True)
        await inflight.news()
    _note_end(exchange, inflight)


async def send_error(exchange: Exchange, error: ServiceError, send: Send) -> None:
    """Send an error instead of an answer, in the dialect of the endpoint."""
    exchange.failed(error)
    if exchange.started or exchange.connection.gone:
        return
    dialect = exchange.dialect
    status = dialect.status(error)
    body = dialect.body(error, exchange.client_request_id)
    request_id = exchange.client_request_id.encode()
    headers: Headers = [_JSON, (b"content-length", b"%d" % len(body))]
    headers += [(name, request_id) for name in dialect.request_id_headers]
    headers += retry_headers(error, status, work_began=exchange.work_began)
    if error.code == "method_not_allowed":
        headers.append((b"allow", b"POST"))
    await _start(exchange, status, headers, send)
    await _send_body(exchange, body, send, more=False)


def retry_headers(error: ServiceError, status: int, *, work_began: bool) -> Headers:
    """When the client may try again, if that can help; the SDKs read the milliseconds first."""
    headers: Headers = []
    if work_began:
        # The SDKs repeat every 5xx by themselves, which would double work that an engine has begun.
        headers.append((b"x-should-retry", b"false"))
    if status in _CAPACITY:
        base_s = error.retry_after_s or DEFAULT_RETRY_S
        wait_s = base_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads clients, hides nothing
        headers.append((b"retry-after", b"%d" % max(1, round(wait_s))))
        headers.append((b"retry-after-ms", b"%d" % (wait_s * 1000)))
    return headers


def _note_end(exchange: Exchange, inflight: InFlight) -> None:
    """The client may have left during the very last send."""
    if exchange.connection.gone or inflight.client_gone:
        exchange.cancelled()


async def _start(exchange: Exchange, status: int, headers: Headers, send: Send) -> None:
    exchange.status = status
    exchange.sending_since_s = clock.monotonic_s()
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send_body(exchange: Exchange, body: bytes, send: Send, *, more: bool) -> None:
    exchange.sending_since_s = now_s = clock.monotonic_s()
    if not exchange.first_byte_s:
        exchange.first_byte_s = now_s
    exchange.response_bytes += len(body)
    if exchange.capture is not None:
        exchange.capture.add(body)
    await send({"type": "http.response.body", "body": body, "more_body": more})
    exchange.sending_since_s = 0.0


def _answer_headers(exchange: Exchange, inflight: InFlight) -> Headers:
    request_id = exchange.client_request_id.encode()
    headers = [
        (b"content-type", inflight.content_type.encode() or b"application/json"),
        (b"x-llmos-queue-ms", b"%d" % inflight.queue_ms),
        *_worker_headers(inflight.worker_name or inflight.worker, inflight.model_version),
    ]
    headers += [(name, request_id) for name in exchange.dialect.request_id_headers]
    return headers


@lru_cache(maxsize=256)
def _worker_headers(worker: str, version: str) -> tuple[tuple[bytes, bytes], ...]:
    """The same few workers answer every request."""
    named = ((b"x-llmos-worker", worker), (b"x-llmos-model-version", version))
    return tuple((name, value.encode()) for name, value in named if value)
