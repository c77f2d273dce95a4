"""Everything that the scheduler says on the bus."""

from typing import Final

import msgspec
import structlog

from libs.contracts import frames, subjects
from libs.contracts.errors import spec_of
from libs.contracts.frames import Flag
from libs.contracts.inference import Cancel, DirectWorkers, FrameMeta, WorkerLost
from libs.contracts.submission import run_headers, stored_headers
from libs.kit.bus import BusClient, BusOverloadedError, BusPayloadError
from services.scheduler import spans
from services.scheduler.domain.held import Held
from services.scheduler.domain.offers import Offer
from services.scheduler.stats import Stats

log = structlog.get_logger(__name__)

_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_MORE_TIME: Final = b"+WPI"
_TERM: Final = b"+TERM"
_encode: Final = msgspec.json.Encoder().encode
_CANCEL_ALL: Final = _encode(Cancel())
_CANCEL_BY_OPERATOR: Final = _encode(Cancel(by_operator=True))


class Voice:
    """Speaks for one scheduler of one pool.

    What is said to JetStream or a gateway while too many bytes wait already is dropped and counted: JetStream then
    delivers the message again, or the gateway stores it, and it is settled at that time.
    """

    def __init__(self, bus: BusClient, instance: str, token_prefix: str, stats: Stats) -> None:
        self._bus = bus
        self._instance = instance
        self._token_prefix = token_prefix
        self._stats = stats

    def hand_over(self, offer: Offer) -> None:
        """Ask a worker to run a request; the answer comes with the offer's token.

        Raises:
            BusPayloadError: larger than the server takes.
            BusOverloadedError: too much waits to be sent.
        """
        held, attempt = offer.held, offer.execution[1]
        span = spans.begin(held.envelope) if held.envelope.traceparent else None
        envelope = held.raw_envelope if span is None else spans.told(span, held)
        self._bus.publish(
            subjects.run(offer.worker.id),
            held.body,
            reply=subjects.scheduler_reply(self._instance, self._token_prefix + offer.token),
            headers=run_headers(envelope, attempt),
        )
        if span is not None:
            spans.end(span, offer)

    def done(self, held: Held) -> None:
        """Settle the stream message: the request is somebody else's now, or over."""
        if not held.express:
            self._say(held.ack_subject, _ACK)

    def give_back(self, held: Held) -> None:
        """Let JetStream deliver the message at once, or store it, with an acknowledgement to the gateway."""
        if not held.express:
            self._say(held.ack_subject, _NAK)
            return
        envelope = held.envelope
        subject = subjects.submit(envelope.pool, envelope.service_class)
        headers = stored_headers(held.raw_envelope, envelope)
        self._say(subject, held.body, reply=envelope.reply, headers=headers)

    def keep(self, held: Held) -> None:
        """Extend the lease on the message."""
        if not held.express:
            self._say(held.ack_subject, _MORE_TIME)

    def refuse_forever(self, ack_subject: str) -> None:
        """Take a message that can never be scheduled out of the stream."""
        self._say(ack_subject, _TERM)

    def fail(self, reply: str, attempt: int, code: str, message: str) -> bool:
        """End a request towards its gateway with an error; False if that was dropped."""
        meta = frames.encode_meta(FrameMeta(code=code, message=message))
        frame = frames.encode(Flag.ERROR | Flag.LAST, attempt, 0, status=spec_of(code).status, meta=meta)
        return self._say(reply, frame)

    def confirm_cancel(self, held: Held) -> bool:
        """Tell the gateway that a cancelled request will not run; False if that was dropped."""
        return self._say(held.envelope.reply, frames.encode(Flag.CANCELLED | Flag.LAST, held.attempt, 0))

    def repeat_cancel(self, request_id: str, *, by_operator: bool) -> None:
        """Cancel once more, for a worker that may have heard it before it had the request."""
        self._say(subjects.cancel(request_id), _CANCEL_BY_OPERATOR if by_operator else _CANCEL_ALL)

    def announce_loss(self, worker_id: str, reason: str) -> None:
        """Tell the gateways that a worker is dead."""
        self._say(subjects.worker_lost(self._instance), _encode(WorkerLost(worker_id, reason)))

    def name_direct(self, pool: str, workers: tuple[str, ...]) -> bool:
        """Tell the gateways to which workers of a pool they may hand requests themselves; False if that was dropped."""
        return self._say(subjects.direct(pool), _encode(DirectWorkers(self._instance, pool, workers)))

    def _say(self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> bool:
        try:
            self._bus.publish(subject, payload, reply=reply, headers=headers)
        except (BusOverloadedError, BusPayloadError):
            self._stats.unsaid += 1
            log.warning("bus overloaded, not said", subject=subject)
            return False
        return True
