"""Between the bus and the requests in flight: submits them, gives each frame to its request, retries, calls off."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.frames import (
    Flag,
    Frame,
    FrameError,
    decode,
    direct_attempt,
    is_publish_ack,
    is_refusal,
    split,
)
from libs.contracts.inference import Cancel, Handover
from libs.contracts.submission import express_headers, run_headers, stored_headers
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.errors import ServiceError
from services.gateway import spans
from services.gateway.acks import StoreError, stored_as
from services.gateway.direct import Direct
from services.gateway.inflight import UNPINNED, InFlight, Verdict
from services.gateway.metrics import Metrics

log = structlog.get_logger(__name__)

BUS_RETRY_S: Final = 1.0
QUEUE_RETRY_S: Final = 2.0
_POISONOUS: Final = 2
"""Workers that may die on a request before it is blamed."""
_ACCEPTED: Final = int(Flag.ACCEPTED)

_REASONS: Final = frozenset(("full", "draining", "unknown_model", "invalid"))

_encode = msgspec.json.Encoder().encode
_decode_refusal = msgspec.json.Decoder(Handover).decode


class Relay:
    """Owns every request in flight of this process, by request id and by the worker that answers it."""

    def __init__(
        self,
        bus: BusClient,
        instance: str,
        metrics: Metrics,
        direct: Direct,
        *,
        queue_timeout_s: float,
        max_retries: int,
    ) -> None:
        """Prepare; nothing is heard before `start`."""
        self.direct: Final = direct
        self._bus = bus
        self._instance = instance
        self._metrics = metrics
        self._queue_timeout_s = queue_timeout_s
        self._max_retries = max_retries
        self._prefix_len = len(subjects.gateway_reply(instance, ""))
        self._requests: dict[str, InFlight] = {}
        self._by_worker: dict[str, dict[str, InFlight]] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def start(self) -> None:
        """Listen for the answers to every request of this process."""
        self._bus.subscribe(subjects.gateway_reply(self._instance, "*"), self._on_reply)

    def requests(self) -> list[InFlight]:
        """Every request in flight, to be walked while it changes."""
        return list(self._requests.values())

    def of_worker(self, worker: str) -> list[InFlight]:
        """The requests that `worker` answers."""
        return list(self._by_worker.get(worker, {}).values())

    def submit(self, inflight: InFlight) -> None:
        """Put a request into its queue; what becomes of it arrives as frames.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        if not self._bus.connected:
            raise bus_unavailable()
        envelope = inflight.envelope
        self._requests[envelope.request_id] = inflight
        worker = self.direct.choose(envelope.pool, envelope.model)
        try:
            if worker:
                self._publish_direct(inflight, worker)
            else:
                self._publish_express(inflight)
        except BusError as error:
            del self._requests[envelope.request_id]
            raise bus_unavailable() from error

    def forget(self, inflight: InFlight) -> None:
        """The exchange is over; an execution that still runs is called off."""
        request_id = inflight.envelope.request_id
        if self._requests.pop(request_id, None) is None:
            return
        self._leave_direct(inflight, in_vain=False)
        self._disown(inflight)
        if not inflight.ended:
            self.call_off(request_id, None)

    def end(self, inflight: InFlight, error: ServiceError) -> None:
        """End a request with `error` and stop every execution of it."""
        if not inflight.ended:
            inflight.fail(error)
            self.call_off(inflight.envelope.request_id, None)

    def lose(self, inflight: InFlight, why: str, *, dead: bool = True) -> None:
        """The worker that answered is gone: start again if the client has seen nothing, else end with an error.

        `dead` tells a death, which the request may have caused, from an orderly stop, which it cannot have.
        """
        if inflight.ended:
            return
        envelope = inflight.envelope
        log.warning("execution lost", request_id=envelope.request_id, worker=inflight.worker, why=why)
        spans.lost(inflight)
        self._disown(inflight)
        inflight.deaths += dead
        if inflight.attempt != UNPINNED:
            # It may be alive behind a broken network and should not work for nobody.
            self.call_off(envelope.request_id, inflight.attempt)
        if inflight.exchange.started:
            inflight.fail(ServiceError("worker_lost", "The worker that was answering died. Send the request again."))
        elif envelope.retry >= self._max_retries:
            inflight.fail(_given_up(inflight.deaths))
        else:
            self._resubmit(inflight)

    def undivide(self, inflight: InFlight) -> None:
        """The version that a split chose is served no more, before anybody took the request: ask for the name."""
        exchange = inflight.exchange
        if inflight.ended or exchange.division is None:
            return
        pool, exchange.division = exchange.division.pool, None
        inflight.envelope = msgspec.structs.replace(inflight.envelope, model=exchange.model, pool=pool)
        self._resubmit(inflight)

    def resend_unconfirmed(self) -> None:
        """After a reconnect: repeat submissions that may never have arrived; the stream removes duplicates."""
        for inflight in self.requests():
            if not inflight.ended and not inflight.stored_seq and inflight.attempt == UNPINNED:
                self.store(inflight)

    def store(self, inflight: InFlight) -> None:
        """Put a request into the stream whose way past it did not lead to a worker; a repeat does no harm."""
        inflight.unheard += inflight.unstored
        inflight.unstored = False
        self._leave_direct(inflight, in_vain=True)
        try:
            self._publish_stored(inflight)
        except BusError:
            inflight.fail(bus_unavailable())

    def not_taken(self, inflight: InFlight) -> None:
        """Nobody has taken or stored it in time: let the stream have it."""
        if inflight.direct_worker:
            self._metrics.direct_failed("silent")
        self.store(inflight)

    def call_off(self, request_id: str, attempt: int | None) -> None:
        """Tell schedulers and workers that nobody wants it any more."""
        try:
            self._bus.publish(subjects.cancel(request_id), _encode(Cancel(attempt)))
        except BusError as error:
            # The worker stops it by itself once this gateway's beats are missing or the deadline has passed.
            log.warning("cancel not sent", request_id=request_id, error=str(error))

    def _resubmit(self, inflight: InFlight) -> None:
        self._metrics.retries.inc()
        now_ms = clock.unix_ms()
        inflight.restart(
            msgspec.structs.replace(
                inflight.envelope,
                retry=inflight.envelope.retry + 1,
                submitted_ms=now_ms,
                start_by_ms=now_ms + int(self._queue_timeout_s * 1000),
            )
        )
        self.store(inflight)

    def _publish_direct(self, inflight: InFlight, worker: str) -> None:
        """Past the scheduler, to a worker that accepts or refuses; see `_turn_back` for the rest."""
        envelope = inflight.envelope
        headers = run_headers(_encode(envelope), direct_attempt(envelope.retry))
        self._bus.publish(subjects.run(worker), inflight.body, reply=envelope.reply, headers=headers)
        inflight.unstored = True
        inflight.direct_worker = worker
        self.direct.take(worker)
        self._metrics.submissions["direct"] += 1

    def _turn_back(self, inflight: InFlight, refusal: bytes) -> None:
        """The worker that was chosen here has no room, or is not there: the scheduler knows better."""
        self._metrics.direct_failed(_reason(refusal) if refusal else "deaf")
        self._leave_direct(inflight, in_vain=True)
        try:
            self._publish_express(inflight)
        except BusError:
            inflight.fail(bus_unavailable())

    def _leave_direct(self, inflight: InFlight, *, in_vain: bool) -> None:
        """It does not run any more where it was sent directly, or was sent there in vain."""
        if inflight.direct_worker:
            self.direct.give_back(inflight.direct_worker, in_vain=in_vain)
            inflight.direct_worker = ""

    def _publish_express(self, inflight: InFlight) -> None:
        """Past the stream, to a scheduler that hands over at once or stores it itself; see `store` for the rest."""
        envelope = inflight.envelope
        inflight.unstored = True
        headers = express_headers(_encode(envelope))
        self._bus.publish(subjects.express(envelope.pool), inflight.body, reply=envelope.reply, headers=headers)
        self._metrics.submissions["express"] += 1

    def _publish_stored(self, inflight: InFlight) -> None:
        envelope = inflight.envelope
        headers = stored_headers(_encode(envelope), envelope)
        subject = subjects.submit(envelope.pool, envelope.service_class)
        self._bus.publish(subject, inflight.body, reply=envelope.reply, headers=headers)
        self._metrics.submissions["stored"] += 1

    def _on_reply(self, message: Message) -> None:
        """Everything that concerns requests of this process arrives here."""
        request_id = message.subject[self._prefix_len :]
        if request_id == subjects.SEVERAL:
            self._on_bundle(message.payload)
            return
        payload = message.payload
        if not payload or is_publish_ack(payload):
            inflight = self._requests.get(request_id)
            if inflight is None:
                return
            if inflight.direct_worker or is_refusal(payload):
                if inflight.direct_worker and inflight.attempt == UNPINNED and not inflight.ended:
                    self._turn_back(inflight, payload)
            elif not payload and inflight.unstored:
                # No scheduler listens; the next one finds it in the stream.
                inflight.unstored = False
                self.store(inflight)
            elif not payload and inflight.unheard:
                # Said of a submission that was given up, not of the stream.
                inflight.unheard -= 1
            else:
                _on_publish_ack(inflight, payload)
            return
        self._on_frame(request_id, payload, 0, len(payload))

    def _on_bundle(self, bundle: bytes) -> None:
        try:
            for request_id, start, end in split(bundle):
                self._on_frame(request_id, bundle, start, end)
        except FrameError as error:
            # Whose frames the rest were, nobody can tell: their requests end by the gap, or by the worker's beats.
            log.error("not a bundle of frames", error=str(error))

    def _on_frame(self, request_id: str, payload: bytes, start: int, end: int) -> None:
        inflight = self._requests.get(request_id)
        try:
            frame = decode(payload, start, end)
        except FrameError as error:
            log.error("not a frame", request_id=request_id, error=str(error))
            if inflight is not None:
                self.end(inflight, ServiceError("internal_error", "The answer could not be read."))
            return
        verdict = Verdict.FOREIGN if inflight is None else inflight.take_frame(frame)
        if verdict:
            self._act(verdict, request_id, inflight, frame)
        elif inflight is not None and inflight.ended:
            # A client that reads slowly occupies no worker.
            self._leave_direct(inflight, in_vain=False)

    def _act(self, verdict: Verdict, request_id: str, inflight: InFlight | None, frame: Frame) -> None:
        """What a frame's verdict asks for, besides its effect on the request."""
        if inflight is None or verdict is Verdict.FOREIGN:
            self._metrics.foreign_frames.inc()
            if frame.flags & _ACCEPTED:
                self.call_off(request_id, frame.attempt)
        elif verdict is Verdict.PINNED:
            self._by_worker.setdefault(inflight.worker, {})[request_id] = inflight
        elif verdict is Verdict.BROKEN:
            self.call_off(request_id, frame.attempt)
        elif verdict is Verdict.LOST:
            self.lose(inflight, "ended by the worker", dead=frame.meta.code == "worker_lost")
        elif verdict is Verdict.WITHDRAWN:
            self.undivide(inflight)
        elif inflight.streamed:
            self.cut_off(inflight, "fell too far behind")
        else:
            self.end(inflight, ServiceError("internal_error", "The answer is too large."))

    def cut_off(self, inflight: InFlight, why: str) -> None:
        """A client does not read: stop the execution and drop the connection."""
        log.warning("client cut off", request_id=inflight.envelope.request_id, why=why)
        self._metrics.slow_clients.inc()
        self.end(inflight, ServiceError("client_closed_request", f"The client {why}."))
        inflight.on_client_gone()
        inflight.exchange.connection.abort()

    def _disown(self, inflight: InFlight) -> None:
        owned = self._by_worker.get(inflight.worker)
        if owned is not None:
            owned.pop(inflight.envelope.request_id, None)
            if not owned:
                del self._by_worker[inflight.worker]


def bus_unavailable() -> ServiceError:
    """There is no way to the workers just now."""
    return ServiceError(
        "bus_unavailable", "The message bus cannot be reached. Try again soon.", retry_after_s=BUS_RETRY_S
    )


def _given_up(deaths: int) -> ServiceError:
    if deaths < _POISONOUS:
        return ServiceError("worker_lost", "The worker that was to answer is gone. Send the request again.")
    return ServiceError("request_quarantined", f"{deaths} workers died on this request. It is not tried again.")


def _reason(refusal: bytes) -> str:
    """Why a worker refused; one of its few words, as it becomes a label."""
    try:
        said = _decode_refusal(refusal).reason
    except msgspec.DecodeError:
        return "unreadable"
    return said if said in _REASONS else "unreadable"


def _on_publish_ack(inflight: InFlight, payload: bytes) -> None:
    """The stream's answer to a submission; nothing at all means that no stream listens."""
    try:
        told = stored_as(payload) if payload else StoreError(description="no stream listens")
    except msgspec.DecodeError:
        log.error("not a publish acknowledgement", request_id=inflight.envelope.request_id)
        return
    if not isinstance(told, StoreError):
        inflight.stored_seq = told
    elif inflight.attempt == UNPINNED:
        if told.is_full:
            full = ServiceError(
                "queue_full", "Too many requests are waiting. Try again soon.", retry_after_s=QUEUE_RETRY_S
            )
            inflight.fail(full)
        else:
            log.error("submission refused", error=told.description)
            inflight.fail(bus_unavailable())
