"""Between the bus and the requests in flight: gives each frame to its request, retries, calls off."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.frames import Flag, Frame, FrameError, decode, is_publish_ack, split
from libs.contracts.inference import Cancel
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.errors import ServiceError
from services.gateway import spans
from services.gateway.inflight import UNPINNED, InFlight, Verdict
from services.gateway.metrics import Metrics
from services.gateway.ways import Ways

log = structlog.get_logger(__name__)

_POISONOUS: Final = 2
"""Workers that may die on a request before it is blamed."""
_ACCEPTED: Final = int(Flag.ACCEPTED)

_encode = msgspec.json.Encoder().encode


class Relay:
    """Owns every request in flight of this process, by request id and by the worker that answers it."""

    def __init__(
        self,
        bus: BusClient,
        instance: str,
        metrics: Metrics,
        ways: Ways,
        *,
        queue_timeout_s: float,
        max_retries: int,
    ) -> None:
        """Prepare; nothing is heard before `start`."""
        self._bus = bus
        self._instance = instance
        self._metrics = metrics
        self._ways = ways
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
        """Put a request on the bus; what becomes of it arrives as frames.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        self._ways.submit(inflight)
        self._requests[inflight.envelope.request_id] = inflight

    def forget(self, inflight: InFlight) -> None:
        """The exchange is over; an execution that still runs is called off."""
        request_id = inflight.envelope.request_id
        if self._requests.pop(request_id, None) is None:
            return
        self._ways.leave_worker(inflight, in_vain=False)
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
                self._ways.store(inflight)

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
        self._ways.store(inflight)

    def _on_reply(self, message: Message) -> None:
        """Everything that concerns requests of this process arrives here."""
        request_id = message.subject[self._prefix_len :]
        if request_id == subjects.SEVERAL:
            self._on_bundle(message.payload)
            return
        payload = message.payload
        if not payload or is_publish_ack(payload):
            inflight = self._requests.get(request_id)
            if inflight is not None:
                self._ways.on_answer(inflight, payload)
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
            self._ways.leave_worker(inflight, in_vain=False)

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


def _given_up(deaths: int) -> ServiceError:
    if deaths < _POISONOUS:
        return ServiceError("worker_lost", "The worker that was to answer is gone. Send the request again.")
    return ServiceError("request_quarantined", f"{deaths} workers died on this request. It is not tried again.")
