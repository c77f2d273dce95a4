"""What one divided or mirrored request shows of the version that was chosen for it."""

from typing import Final

from libs.contracts.errors import ERRORS
from libs.contracts.rollouts import RequestObserved
from libs.kit import clock
from libs.kit.sticky import point
from services.gateway import capture
from services.gateway.division import Division
from services.gateway.exchange import Exchange
from services.gateway.inflight import InFlight
from services.gateway.splits import sticky_of

_OURS: Final = frozenset(("shutting_down", "bus_unavailable"))
"""Errors of this gateway, whichever version was chosen."""
_REFUSED: Final = 400
"""From this status on an answer is a refusal, which the engine itself may send as a good answer."""


def observed(
    exchange: Exchange, inflight: InFlight | None, division: Division, *, mirror: bool, agreement: float | None
) -> RequestObserved | None:
    """The event; None where it would say nothing of the version.

    That is so where another version answered, or one that did not say its name; on routes that put out no text; where
    this gateway stops or has lost the bus; and for a mirrored request that no engine took, because it waits behind
    everybody else's.
    """
    answered_by = inflight.model_version if inflight is not None else ""
    if exchange.route.path not in capture.ROUTES or exchange.error_code in _OURS:
        return None
    if (exchange.work_began and answered_by != division.version) or (mirror and not exchange.work_began):
        return None
    now_s = clock.monotonic_s()
    # Others go first where a mirrored request waits, which says nothing of the version.
    waited_ms = inflight.queue_ms if inflight is not None and mirror else 0
    refused = exchange.outcome == "ok" and exchange.status >= _REFUSED
    good = exchange.outcome == "ok" and not refused
    usage = inflight.usage if inflight is not None else None
    return RequestObserved(
        id=f"{exchange.request_id}-observed",
        time_ms=clock.unix_ms(),
        request_id=exchange.request_id,
        rollout=division.split.rollout,
        step=division.split.step,
        sticky=f"{point(division.split.rollout, sticky_of(exchange)):x}",
        arm=division.arm,
        model_version=answered_by,
        outcome="error" if refused else exchange.outcome,
        mirror=mirror,
        fault=exchange.outcome == "error" and ERRORS[exchange.error_code].kind == "server_error",
        error_code=exchange.error_code,
        first_token_ms=max(0, _ms(exchange.first_byte_s - exchange.arrived_s) - waited_ms) if good else 0,
        total_ms=max(0, _ms(now_s - exchange.arrived_s) - waited_ms),
        completion_tokens=usage.completion_tokens if usage is not None else 0,
        stream=exchange.stream,
        agreement=agreement,
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
