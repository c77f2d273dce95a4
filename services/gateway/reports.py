"""What is told about a finished exchange: the event, the metrics, and a log line if it failed."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted
from libs.kit import clock
from libs.kit.bus.events import EventPublisher
from services.gateway.division import Division
from services.gateway.exchange import Exchange
from services.gateway.inflight import InFlight
from services.gateway.limits.usage import UsageCounter
from services.gateway.metrics import Metrics
from services.gateway.observations import observed

log = structlog.get_logger(__name__)

_SERVER_FAULT: Final = 500
_encode = msgspec.json.Encoder().encode


class Reports:
    """Tells the rest of the platform how exchanges ended."""

    def __init__(self, events: EventPublisher, metrics: Metrics, usage: UsageCounter | None = None) -> None:
        """Prepare; `usage` counts what keys use, where somebody keeps account of it."""
        self._usage = usage
        self._events = events
        self._metrics = metrics

    def finish(self, exchange: Exchange, inflight: InFlight | None) -> None:
        """Announce the end of one exchange."""
        total_s = clock.monotonic_s() - exchange.arrived_s
        self._metrics.count(exchange, inflight, total_s=total_s)
        # Without a known key there is nobody to announce it for, and strangers must not fill the event log.
        if exchange.principal is not None:
            event = _event(exchange, inflight, total_s)
            if self._usage is not None and exchange.work_began:
                used = event.usage
                tokens = used.prompt_tokens + used.completion_tokens if used is not None else 0
                self._usage.count(event.tenant, event.key_id, tokens)
            trace = exchange.span.traceparent if exchange.span is not None else ""
            self._events.publish(subjects.COMPLETED, event.id, _encode(event), time_ms=event.time_ms, traceparent=trace)
            if exchange.capture is not None and exchange.capture.announced and exchange.work_began:
                captured = exchange.capture.event(event)
                id_ = f"{exchange.request_id}-captured"
                self._events.publish(subjects.CAPTURED, id_, captured, time_ms=event.time_ms, traceparent=trace)
            if exchange.division is not None:
                self.observe(exchange, inflight, exchange.division)
        if exchange.outcome != "ok":
            _log(exchange, inflight, total_s)

    def observe(
        self,
        exchange: Exchange,
        inflight: InFlight | None,
        division: Division,
        *,
        mirror: bool = False,
        agreement: float | None = None,
    ) -> None:
        """Announce how a divided or mirrored request ended, if that is evidence for the version that was chosen."""
        found = observed(exchange, inflight, division, mirror=mirror, agreement=agreement)
        if found is None:
            self._metrics.unobserved.inc()
            return
        self._events.publish(subjects.OBSERVED, found.id, _encode(found), time_ms=found.time_ms)


def _event(exchange: Exchange, inflight: InFlight | None, total_s: float) -> RequestCompleted:
    principal = exchange.principal
    first_byte_s = exchange.first_byte_s
    return RequestCompleted(
        # One exchange ends once, so its id makes a good event id: repeats are recognised as such.
        id=f"{exchange.request_id}-completed",
        time_ms=clock.unix_ms(),
        request_id=exchange.request_id,
        client_request_id=exchange.client_request_id,
        tenant=principal.tenant if principal else "",
        key_id=principal.key_id if principal else "",
        route=exchange.route.path,
        model=exchange.model,
        outcome=exchange.outcome,
        status=exchange.status,
        model_version=inflight.model_version if inflight else "",
        worker=inflight.worker if inflight else "",
        error_code=exchange.error_code,
        stream=exchange.stream,
        service_class=exchange.service_class,
        retries=inflight.envelope.retry if inflight else 0,
        usage=inflight.usage if inflight else None,
        queue_ms=inflight.queue_ms if inflight else 0,
        first_byte_ms=int((first_byte_s - exchange.arrived_s) * 1000) if first_byte_s else 0,
        total_ms=int(total_s * 1000),
        response_bytes=exchange.response_bytes,
        episode_id=exchange.episode_id,
        user=exchange.user,
    )


def _log(exchange: Exchange, inflight: InFlight | None, total_s: float) -> None:
    tell = log.warning if exchange.status >= _SERVER_FAULT else log.info
    tell(
        "request failed",
        outcome=exchange.outcome,
        code=exchange.error_code,
        status=exchange.status,
        route=exchange.route.path,
        model=exchange.model[:100],
        client_request_id=exchange.client_request_id,
        request_id=exchange.request_id,
        tenant=exchange.principal.tenant if exchange.principal else "",
        worker=inflight.worker if inflight else "",
        retries=inflight.envelope.retry if inflight else 0,
        total_ms=int(total_s * 1000),
    )
