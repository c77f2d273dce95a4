"""Writes answers and errors to the client and keeps account of what it has received."""

import random
import re
from functools import lru_cache
from typing import Final

from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway.exchange import Exchange
from services.gateway.inflight import InFlight
from services.gateway.limits.telling import left

Headers = list[tuple[bytes, bytes]]

DEFAULT_RETRY_S: Final = 1.0
TRACE_HEADER: Final = b"x-llmos-trace-id"
"""Only of requests that are recorded."""
_JITTER: Final = 0.2
_LIMITED: Final = 429
_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LATER: Final = (429, 503, 529)
_USELESS: Final = frozenset({"insufficient_quota", "cancelled_by_operator"})
"""Codes for which the SDKs should not try again by themselves."""
_ENGINE_FAULT: Final = 500


async def send(exchange: Exchange, inflight: InFlight) -> None:
    """Relay what arrives until the answer, or the client, has ended.

    Raises:
        ServiceError: the request failed before its first byte.
    """
    await inflight.news()
    if inflight.client_gone:
        exchange.cancelled()
        return
    if inflight.error is not None:
        raise inflight.error
    if inflight.streamed:
        await send_stream(exchange, inflight)
    else:
        await send_whole(exchange, inflight)


async def send_whole(exchange: Exchange, inflight: InFlight) -> None:
    """Send an answer that is complete.

    Raises:
        ServiceError: `engine_error`; the engine's own words stay inside.
    """
    if inflight.status >= _ENGINE_FAULT:
        raise ServiceError("engine_error", "The engine failed. Send the request again.")
    body = inflight.take_bytes()
    lines = b"%bcontent-length: %d\r\n" % (_answer_lines(exchange, inflight, streamed=False), len(body))
    _begin(exchange, inflight.status, lines, whole=True)
    await _send_body(exchange, body, more=False)
    _note_end(exchange, inflight)


async def send_stream(exchange: Exchange, inflight: InFlight) -> None:
    """Send an answer as it arrives; whatever is ready goes out in one piece."""
    # From here on nothing can be submitted again, so its body need not be kept.
    inflight.body = b""
    _begin(exchange, inflight.status, _answer_lines(exchange, inflight, streamed=True), whole=False)
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
            await _send_body(exchange, body, more=False)
            break
        if body or not exchange.response_bytes:
            last_sent = body
            await _send_body(exchange, body, more=True)
        await inflight.news()
    _note_end(exchange, inflight)


async def send_error(exchange: Exchange, error: ServiceError) -> None:
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
    if exchange.span is not None:
        headers.append((TRACE_HEADER, exchange.span.trace_id.encode()))
    if error.code == "method_not_allowed":
        headers.append((b"allow", b"POST"))
    _begin(exchange, status, _lines(headers) + _limit_lines(exchange), whole=True)
    await _send_body(exchange, body, more=False)


def retry_headers(error: ServiceError, status: int, *, work_began: bool) -> Headers:
    """When the client may try again, if that can help; the SDKs read the milliseconds first."""
    headers: Headers = []
    if work_began:
        # The SDKs repeat every 5xx by themselves, which would double work that an engine has begun.
        headers.append((b"x-should-retry", b"false"))
    elif error.code in _USELESS:
        headers.append((b"x-should-retry", b"false"))
    if status in _LATER:
        base_s = error.retry_after_s or DEFAULT_RETRY_S
        # A limit is not free again any sooner than it was said.
        least = 1.0 if status == _LIMITED else 1 - _JITTER
        wait_s = base_s * random.uniform(least, 1 + _JITTER)  # noqa: S311 - spreads clients, hides nothing
        headers.append((b"retry-after", b"%d" % max(1, round(wait_s))))
        headers.append((b"retry-after-ms", b"%d" % (wait_s * 1000)))
    return headers


def _note_end(exchange: Exchange, inflight: InFlight) -> None:
    """The client may have left during the very last send."""
    if exchange.connection.gone or inflight.client_gone:
        exchange.cancelled()


def _begin(exchange: Exchange, status: int, lines: bytes, *, whole: bool) -> None:
    exchange.status = status
    exchange.connection.begin(status, lines, whole=whole)


async def _send_body(exchange: Exchange, body: bytes, *, more: bool) -> None:
    connection = exchange.connection
    now_s = clock.monotonic_s()
    if connection.blocked:
        exchange.sending_since_s = now_s
        await connection.drained()
        exchange.sending_since_s = 0.0
    if not exchange.first_byte_s:
        exchange.first_byte_s = now_s
    exchange.response_bytes += len(body)
    if exchange.capture is not None:
        exchange.capture.add(body)
    connection.write(body, more=more)


def _answer_lines(exchange: Exchange, inflight: InFlight, *, streamed: bool) -> bytes:
    named = (inflight.content_type, inflight.worker_name or inflight.worker, inflight.model_version)
    request_id = exchange.client_request_id.encode()
    own = b"".join(b"%b: %b\r\n" % (name, request_id) for name in exchange.dialect.request_id_headers)
    own += _limit_lines(exchange)
    if exchange.span is not None:
        own += b"%b: %b\r\n" % (TRACE_HEADER, exchange.span.trace_id.encode())
    return b"%bx-llmos-queue-ms: %d\r\n%b" % (_worker_lines(*named, streamed), inflight.queue_ms, own)


def _limit_lines(exchange: Exchange) -> bytes:
    return exchange.dialect.limit_lines(left(exchange.limited, clock.monotonic_s())) if exchange.limited else b""


@lru_cache(maxsize=256)
def _worker_lines(content_type: str, worker: str, version: str, streamed: bool) -> bytes:  # noqa: FBT001 - cached
    """The same few workers answer every request."""
    named = ((b"x-llmos-worker", worker), (b"x-llmos-model-version", version))
    headers: Headers = [(b"content-type", content_type.encode() or b"application/json")]
    headers += ((name, value.encode()) for name, value in named if value)
    return _lines([*headers, *_STREAM] if streamed else headers)


def _lines(headers: Headers) -> bytes:
    """Header lines.

    Raises:
        ValueError: a value holds a line break or another control character, which would let it forge a header.
    """
    for name, value in headers:
        if _FORBIDDEN.search(value):
            raise ValueError(f"header {name.decode()} holds a control character")
    return b"".join(b"%b: %b\r\n" % header for header in headers)
