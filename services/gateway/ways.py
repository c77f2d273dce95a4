"""The ways of a request onto the bus: directly to a worker, express to a scheduler, or stored in the stream.

Each leads on to the next where it was in vain; frames, which tell that a worker has it, are the relay's.
"""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.frames import direct_attempt, is_refusal
from libs.contracts.inference import Handover
from libs.contracts.submission import express_headers, run_headers, stored_headers
from libs.kit.bus import BusClient, BusError
from libs.kit.errors import ServiceError
from services.gateway.acks import StoreError, stored_as
from services.gateway.direct import Direct
from services.gateway.inflight import UNPINNED, InFlight
from services.gateway.metrics import Metrics

log = structlog.get_logger(__name__)

BUS_RETRY_S: Final = 1.0
QUEUE_RETRY_S: Final = 2.0
_REASONS: Final = frozenset(("full", "draining", "unknown_model", "invalid"))
_encode = msgspec.json.Encoder().encode
_decode_refusal = msgspec.json.Decoder(Handover).decode


class Ways:
    """Puts requests on the bus, and hears what comes back of that beside frames."""

    def __init__(self, bus: BusClient, direct: Direct, metrics: Metrics) -> None:
        """Prepare; nothing is said yet."""
        self._bus = bus
        self._direct = direct
        self._metrics = metrics

    def submit(self, inflight: InFlight) -> None:
        """Hand a new request to a worker, if one is named, or else to a scheduler.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        if not self._bus.connected:
            raise bus_unavailable()
        envelope = inflight.envelope
        worker = self._direct.choose(envelope.pool, envelope.model)
        try:
            if worker:
                self._hand_over(inflight, worker)
            else:
                self._offer(inflight)
        except BusError as error:
            raise bus_unavailable() from error

    def store(self, inflight: InFlight) -> None:
        """Put a request into the stream whose way past it did not lead to a worker; a repeat does no harm."""
        inflight.unheard += inflight.unstored
        inflight.unstored = False
        self.leave_worker(inflight, in_vain=True)
        envelope = inflight.envelope
        headers = stored_headers(_encode(envelope), envelope)
        subject = subjects.submit(envelope.pool, envelope.service_class)
        try:
            self._bus.publish(subject, inflight.body, reply=envelope.reply, headers=headers)
        except BusError:
            inflight.fail(bus_unavailable())
        else:
            self._metrics.submissions["stored"] += 1

    def not_taken(self, inflight: InFlight) -> None:
        """Nobody has taken or stored it in time: let the stream have it."""
        if inflight.direct_worker:
            self._metrics.direct_failed("silent")
        self.store(inflight)

    def leave_worker(self, inflight: InFlight, *, in_vain: bool) -> None:
        """It runs no more where this gateway sent it directly, or was sent there in vain."""
        if inflight.direct_worker:
            self._direct.give_back(inflight.direct_worker, in_vain=in_vain)
            inflight.direct_worker = ""

    def on_answer(self, inflight: InFlight, payload: bytes) -> None:
        """Take a worker's or the stream's answer to a submission; an empty one is the server's: nobody listens."""
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

    def _hand_over(self, inflight: InFlight, worker: str) -> None:
        """To a worker, which accepts by a frame, or refuses."""
        envelope = inflight.envelope
        headers = run_headers(_encode(envelope), direct_attempt(envelope.retry))
        self._bus.publish(subjects.run(worker), inflight.body, reply=envelope.reply, headers=headers)
        inflight.unstored = True
        inflight.direct_worker = worker
        self._direct.take(worker)
        self._metrics.submissions["direct"] += 1

    def _offer(self, inflight: InFlight) -> None:
        """To a scheduler, which hands it over at once or stores it itself."""
        envelope = inflight.envelope
        headers = express_headers(_encode(envelope))
        inflight.unstored = True
        self._bus.publish(subjects.express(envelope.pool), inflight.body, reply=envelope.reply, headers=headers)
        self._metrics.submissions["express"] += 1

    def _turn_back(self, inflight: InFlight, refusal: bytes) -> None:
        """The worker that was chosen here has no room, or is not there: the scheduler knows better."""
        self._metrics.direct_failed(_reason(refusal) if refusal else "deaf")
        self.leave_worker(inflight, in_vain=True)
        try:
            self._offer(inflight)
        except BusError:
            inflight.fail(bus_unavailable())


def bus_unavailable() -> ServiceError:
    """There is no way to the workers just now."""
    return ServiceError(
        "bus_unavailable", "The message bus cannot be reached. Try again soon.", retry_after_s=BUS_RETRY_S
    )


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
