"""Looks after what no frame announces: dead workers, silent losses, deadlines, clients that do not read, the drain."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import DirectWorkers, GatewayBeat, WorkerBeat, WorkerLost, WorkerState
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.errors import ServiceError
from services.gateway.direct import Direct
from services.gateway.doubts import Doubts
from services.gateway.fleet import Fleet
from services.gateway.inflight import UNPINNED, InFlight
from services.gateway.relay import Relay
from services.gateway.settings import Settings
from services.gateway.ways import Ways

log = structlog.get_logger(__name__)

QUEUE_RETRY_S: Final = 2.0
_MISSING_BEATS: Final = 2
_LATE_S: Final = 1.0
_EXPRESS_TIMEOUT_MS: Final = 1_000
"""A scheduler that has neither handed a request over nor stored it by then is taken for dead; so is a worker that was
given it directly and has not accepted it."""

_decode_beat = msgspec.json.Decoder(WorkerBeat).decode
_decode_direct = msgspec.json.Decoder(DirectWorkers).decode
_decode_lost = msgspec.json.Decoder(WorkerLost).decode


class Watch:
    """Hears the fleet, beats for this gateway, and walks over the requests a few times per second."""

    def __init__(  # noqa: PLR0913 - the parts that it looks after
        self,
        bus: BusClient,
        instance: str,
        settings: Settings,
        *,
        fleet: Fleet,
        relay: Relay,
        ways: Ways,
        direct: Direct,
    ) -> None:
        """Prepare; nothing is heard before `start`."""
        self._bus = bus
        self._fleet = fleet
        self._relay = relay
        self._ways = ways
        self._direct = direct
        self._settings = settings
        self._doubts = Doubts(bus, relay)
        self._beat_subject = subjects.gateway_beat(instance)
        self._beat = msgspec.json.encode(GatewayBeat(instance))
        self._next_beat_s = 0.0
        self._drain_until_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self.draining = False
        """Set when the process is asked to stop; new requests are refused from then on."""

    def start(self) -> None:
        """Listen and begin to walk."""
        self._bus.subscribe(subjects.ALL_BEATS, self._on_beat)
        self._bus.subscribe(subjects.ALL_WORKERS_LOST, self._on_worker_lost)
        self._bus.subscribe(subjects.ALL_DIRECT, self._on_direct)
        self._task = asyncio.create_task(self._run(), name="gateway-watch")

    async def stop(self) -> None:
        """Stop walking."""
        await self._doubts.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def on_bus(self, *, connected: bool) -> None:
        """After a reconnect: ask who is there, and count nobody's silence meanwhile."""
        if not connected:
            if self._task is not None and not self._task.done():
                log.warning("bus lost", requests=len(self._relay))
            self._direct.clear()
            return
        self._fleet.excuse()
        self._say(subjects.REPORT, b"")
        self._say_beat()
        self._relay.resend_unconfirmed()
        self._doubts.begin()

    @property
    def doubted(self) -> int:
        """Requests that were unanswered when the bus came back and whose fate is not known yet."""
        return len(self._doubts)

    def _on_beat(self, message: Message) -> None:
        try:
            beat = _decode_beat(message.payload)
        except msgspec.DecodeError as error:
            log.error("not a beat", subject=message.subject, error=str(error))
            return
        self._fleet.hear(beat)
        owned = self._relay.of_worker(beat.worker)
        if not owned:
            return
        # A beat leaves on the same connection as the frames: one that came after ACCEPTED was sent after it.
        running = {(item.request_id, item.attempt) for item in beat.running}
        for inflight in owned:
            self._compare(inflight, beat, running)

    def _compare(self, inflight: InFlight, beat: WorkerBeat, running: set[tuple[str, int]]) -> None:
        """Notice an execution that its worker no longer knows."""
        if inflight.ended or (inflight.envelope.request_id, inflight.attempt) in running:
            inflight.missed_beats = 0
            return
        inflight.missed_beats += 1
        if inflight.missed_beats >= _MISSING_BEATS or beat.state == WorkerState.STOPPED:
            self._relay.lose(inflight, "missing in the beats of its worker")

    def _on_worker_lost(self, message: Message) -> None:
        try:
            lost = _decode_lost(message.payload)
        except msgspec.DecodeError as error:
            log.error("not a worker_lost", subject=message.subject, error=str(error))
            return
        self._lose_worker(lost.worker, lost.reason)

    def _on_direct(self, message: Message) -> None:
        try:
            named = _decode_direct(message.payload)
        except msgspec.DecodeError as error:
            log.error("not a list of workers", subject=message.subject, error=str(error))
            return
        self._direct.hear(named)

    def _lose_worker(self, worker: str, why: str) -> None:
        self._fleet.lose(worker)
        for inflight in self._relay.of_worker(worker):
            self._relay.lose(inflight, why)

    async def _run(self) -> None:
        while True:
            due_s = clock.monotonic_s() + self._settings.sweep_s
            await asyncio.sleep(self._settings.sweep_s)
            if clock.monotonic_s() - due_s > _LATE_S:
                # This process slept; what it did not hear meanwhile is still in its socket.
                self._fleet.excuse()
            try:
                self._walk(clock.monotonic_s())
            except Exception:
                # Without this walk requests would hang for ever: one faulty request must not end it.
                log.exception("walk failed")

    def _walk(self, now_s: float) -> None:
        if now_s >= self._next_beat_s:
            self._say_beat()
        if self._bus.connected:
            limit_s = self._settings.beat_s * (self._settings.missed_beats + 0.5)
            for worker in self._fleet.silent(limit_s):
                self._lose_worker(worker, "its beats stopped")
        overdue = self._drain_is_over(now_s)
        now_ms = clock.unix_ms()
        for inflight in self._relay.requests():
            self._look_at(inflight, now_s, now_ms)
            if overdue:
                self._relay.end(inflight, ServiceError("shutting_down", "This gateway is stopping. Send it again."))

    def _look_at(self, inflight: InFlight, now_s: float, now_ms: int) -> None:
        """End what has waited, run or blocked for too long."""
        sending_since_s = inflight.exchange.sending_since_s
        if sending_since_s and now_s - sending_since_s > self._settings.client_stall_s:
            self._relay.cut_off(inflight, f"took no byte for {self._settings.client_stall_s:g} s")
        envelope = inflight.envelope
        if now_ms > envelope.deadline_ms:
            self._relay.end(inflight, ServiceError("deadline_exceeded", "The answer took longer than is allowed."))
        elif inflight.attempt == UNPINNED and now_ms > envelope.start_by_ms + self._settings.queue_slack_s * 1000:
            busy = "No worker became free in time. Try again later."
            self._relay.end(inflight, ServiceError("queue_timeout", busy, retry_after_s=QUEUE_RETRY_S))
        elif self._is_withdrawn(inflight):
            self._relay.undivide(inflight)
        elif (
            inflight.unstored
            and inflight.attempt == UNPINNED
            and not inflight.stored_seq
            and now_ms > envelope.submitted_ms + _EXPRESS_TIMEOUT_MS
        ):
            self._ways.not_taken(inflight)

    def _is_withdrawn(self, inflight: InFlight) -> bool:
        """Whether it waits for a version that a split chose and that nobody can answer under any more."""
        if inflight.exchange.division is None or inflight.attempt != UNPINNED:
            return False
        envelope = inflight.envelope
        return self._fleet.ready(envelope.model, envelope.route) is None

    def _drain_is_over(self, now_s: float) -> bool:
        if not self.draining:
            return False
        if not self._drain_until_s:
            self._drain_until_s = now_s + self._settings.drain_timeout_s
        return now_s > self._drain_until_s

    def _say_beat(self) -> None:
        self._next_beat_s = clock.monotonic_s() + self._settings.beat_s
        if self._bus.connected:
            self._say(self._beat_subject, self._beat)

    def _say(self, subject: str, payload: bytes) -> None:
        try:
            self._bus.publish(subject, payload)
        except BusError as error:
            log.warning("not said", subject=subject, error=str(error))
