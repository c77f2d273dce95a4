"""Asks a candidate what clients have asked the last good version, and shows the answers to nobody."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import Envelope, ServiceClass
from libs.kit import clock
from libs.kit.dialogue.answers import answered
from libs.kit.errors import ServiceError
from libs.kit.words import f1, words
from services.gateway import replies
from services.gateway.capture import Capture
from services.gateway.division import Division
from services.gateway.exchange import Exchange
from services.gateway.fleet import Fleet, Target
from services.gateway.inflight import InFlight
from services.gateway.metrics import Metrics
from services.gateway.relay import Relay
from services.gateway.reports import Reports
from services.gateway.settings import Settings

log = structlog.get_logger(__name__)


class Nobody:
    """Stands where a client's connection would: takes every byte and shows it to no one."""

    gone = False
    blocked = False

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """It is never lost."""

    def abort(self) -> None:
        """There is nothing to drop."""

    def begin(self, status: int, lines: bytes, *, whole: bool) -> None:
        """Nobody reads headers."""

    def write(self, body: bytes, *, more: bool) -> None:
        """Nobody reads bytes."""

    async def drained(self) -> None:
        """There is always room."""


_NOBODY: Final = Nobody()


class Mirror:
    """Sends requests once more that a shadow split has chosen, when their own answers have ended."""

    def __init__(
        self, settings: Settings, *, instance: str, fleet: Fleet, relay: Relay, reports: Reports, metrics: Metrics
    ) -> None:
        """Prepare."""
        self._settings = settings
        self._instance = instance
        self._fleet = fleet
        self._relay = relay
        self._reports = reports
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False
        """Set when the process is asked to stop; nothing is mirrored from then on."""

    def __len__(self) -> int:
        return len(self._tasks)

    def offer(self, shown: Exchange, inflight: InFlight, division: Division) -> None:
        """An exchange has ended: ask the candidate, too, if it was chosen for that and there is room."""
        if not division.mirrored or shown.capture is None or shown.outcome == "cancelled":
            return
        target = self._fleet.ready(division.split.candidate, shown.route.path)
        if target is None or self.closed or len(self._tasks) >= self._settings.mirror_at_once:
            self._metrics.mirrors_dropped.inc()
            return
        copy = self._copy(shown, shown.capture, inflight.envelope, target)
        mirrored = Division(division.split, "candidate", division.pool, mirrored=True)
        task = asyncio.create_task(self._ask(copy, mirrored, shown.capture), name="gateway-mirror")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Call off what runs, and begin nothing any more: nobody waits for it."""
        self.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _copy(self, shown: Exchange, said: Capture, envelope: Envelope, target: Target) -> InFlight:
        exchange = Exchange(shown.route, _NOBODY)
        exchange.model = target.model
        exchange.episode_id, exchange.user = shown.episode_id, shown.user
        exchange.stream = shown.stream
        exchange.service_class = ServiceClass.BATCH
        exchange.capture = Capture(said.request, announced=False)
        settings = self._settings
        now_ms = clock.unix_ms()
        again = msgspec.structs.replace(
            envelope,
            request_id=exchange.request_id,
            reply=subjects.gateway_reply(self._instance, exchange.request_id),
            model=target.model,
            pool=target.pool,
            service_class=ServiceClass.BATCH,
            start_by_ms=now_ms + int(settings.queue_timeout_s * 1000),
            deadline_ms=now_ms + int(settings.request_timeout_s * 1000),
            submitted_ms=now_ms,
            retry=0,
            traceparent="",
        )
        return InFlight(
            exchange,
            again,
            said.request,
            max_buffered_bytes=settings.max_buffer_bytes,
            max_response_bytes=settings.max_response_bytes,
        )

    async def _ask(self, inflight: InFlight, division: Division, shown: Capture) -> None:
        exchange = inflight.exchange
        try:
            self._relay.submit(inflight)
            await replies.send(exchange, inflight)
        except ServiceError as error:
            exchange.failed(error)
        except Exception:
            log.exception("mirrored request crashed", request_id=exchange.request_id)
            return
        finally:
            self._relay.forget(inflight)
        agreement = _agreement(exchange, shown)
        self._reports.observe(exchange, inflight, division, mirror=True, agreement=agreement)


def _agreement(exchange: Exchange, shown: Capture) -> float | None:
    """F1 of the words of both answers; None where one is not whole."""
    if exchange.capture is None:
        return None
    texts = [_text(exchange.route.path, one) for one in (exchange.capture, shown)]
    return f1(words(texts[0]), words(texts[1])) if texts[0] is not None and texts[1] is not None else None


def _text(route: str, said: Capture) -> str | None:
    answer = answered(route, said.answer)
    if said.truncated or not answer.whole or answer.message is None:
        return None
    return str(answer.message["content"] or "")
