"""Takes requests in, offers them to workers, and follows each until somebody else owns it or it is over."""

from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.frames import make_attempt
from libs.contracts.inference import Envelope, Handover, Released, WorkerBeat, WorkerState
from libs.kit import clock
from libs.kit.bus import Message, PulledMessage
from services.scheduler.direct import Direct
from services.scheduler.domain.held import Held
from services.scheduler.domain.offers import Offer
from services.scheduler.errors import SubmissionError
from services.scheduler.intake import read
from services.scheduler.ledger import Ledger
from services.scheduler.limits import Limits
from services.scheduler.matcher import Matcher
from services.scheduler.stats import Stats
from services.scheduler.voice import Voice

log = structlog.get_logger(__name__)

_REFUSED_FOREVER: Final = {
    "unknown_model": ("model_not_found", "The model is not loaded any more; see /v1/models."),
    "invalid": ("invalid_value", "The worker could not read the request."),
}
_LATE_S: Final = 30.0


class Dispatcher:
    """One pool: its queue, its workers, the offers between them.

    Every method is a plain function called from the event loop; none waits.
    """

    def __init__(self, pool: str, voice: Voice, ledger: Ledger, limits: Limits, stats: Stats) -> None:
        self.pool = pool
        self.stats = stats
        self.ledger = ledger
        self.matcher = Matcher(voice, ledger, limits, stats)
        self.queue, self.registry, self.offers = self.matcher.queue, self.matcher.registry, self.matcher.offers
        self._direct = Direct(pool, self.matcher, voice, enabled=limits.direct)
        self.matcher.on_wait = self._direct.close
        self._voice = voice
        self._grace_s = limits.grace_s
        self._beat_timeout_s = limits.beat_timeout_s

    # What comes from the stream

    def on_pulled(self, pulled: PulledMessage) -> None:
        """Take one submitted request in."""
        self.stats.pulled += 1
        if pulled.delivery > 1:
            self.stats.redelivered += 1
        try:
            held = read(pulled.message, ack_subject=pulled.ack_subject, delivery=pulled.delivery)
        except SubmissionError as error:
            self._reject(pulled.message, error, pulled.delivery)
            self._voice.refuse_forever(pulled.ack_subject)
            return
        self._take_in(held)

    def on_express(self, message: Message) -> None:
        """Take in one request that came past the stream: a worker gets it at once, or the stream does."""
        self.stats.express += 1
        try:
            held = read(message)
        except SubmissionError as error:
            self._reject(message, error, 0)
            return
        self._take_in(held)

    def _take_in(self, held: Held) -> None:
        if self.ledger.repeats(held):
            return
        older = self.ledger.get(held.request_id)
        if older is not None:
            self.queue.remove(older.request_id)
            self.ledger.superseded(older)
        self.matcher.admit(held)

    def _reject(self, message: Message, error: SubmissionError, delivery: int) -> None:
        self.stats.invalid += 1
        log.error("submission cannot be read", pool=self.pool, reason=str(error), subject=message.subject)
        if error.reply:
            attempt = make_attempt(error.retry, delivery, 1)
            self._voice.fail(error.reply, attempt, "internal_error", "The request could not be scheduled.")

    # What workers say

    def on_beat(self, beat: WorkerBeat) -> None:
        """A worker of this pool says how it is."""
        if beat.state is WorkerState.STOPPED:
            self.lose(beat.worker, "")
            return
        now_s = clock.monotonic_s()
        if beat.worker not in self.registry.workers:
            log.info("worker is here", pool=self.pool, worker=beat.worker, name=beat.name, capacity=beat.capacity)
        worker = self.registry.beat(beat, now_s)
        offers = self.offers.of_worker(worker)
        if offers:
            running = {(run.request_id, run.attempt) for run in beat.running}
            for offer in offers:
                if offer.execution in running:
                    # It runs, so it was accepted; the answer was lost.
                    self.offers.withdraw(offer)
                    self._on_accepted(offer)
        self.matcher.has_room(worker)

    def on_released(self, released: Released) -> None:
        """Executions on one worker ended."""
        worker = self.registry.workers.get(released.worker)
        if worker is None:
            return
        for run in released.ended:
            execution = (run.request_id, run.attempt)
            if run.request_id in self.ledger and (offer := self.offers.of_execution(worker, execution)):
                self.offers.withdraw(offer)
                self._on_accepted(offer)
            self.registry.release(worker, execution)
        self.matcher.has_room(worker)

    def on_deaf(self, token: str) -> None:
        """The server says that nobody hears an offer."""
        if (offer := self.offers.answer(token)) is not None:
            self._on_deaf(offer)
            self.matcher.pump()

    def on_answer(self, token: str, answer: Handover) -> None:
        """A worker answers an offer."""
        offer = self.offers.answer(token)
        if offer is None:
            return
        rested = offer.worker.strikes > 0
        self.registry.answered(offer.worker)
        if answer.accepted:
            self._on_accepted(offer)
        else:
            self._on_refused(offer, answer.reason)
        if rested or not answer.accepted:
            self.matcher.has_room(offer.worker)

    def _on_accepted(self, offer: Offer) -> None:
        if not offer.held.settled:
            # A late answer finds the request waiting again.
            self.queue.remove(offer.held.request_id)
            self.ledger.accepted(offer.held)

    def _on_refused(self, offer: Offer, reason: str) -> None:
        self.stats.refused[reason] += 1
        self.registry.release(offer.worker, offer.execution)
        if reason in {"full", "draining"}:
            self.registry.refused(offer.worker, draining=reason == "draining")
        if offer.late or offer.held.settled:
            return
        if reason in {"full", "draining"}:
            self.matcher.put_back(offer.held)
            return
        log.error("worker refused a request", pool=self.pool, worker=offer.worker.id, reason=reason)
        code, text = _REFUSED_FOREVER.get(reason, ("internal_error", "The worker could not take the request."))
        self.ledger.failed(offer.held, code, text)

    def _on_deaf(self, offer: Offer) -> None:
        """Nobody listens where the worker should: it took nothing, and may be dead."""
        self.stats.refused["deaf"] += 1
        self.registry.release(offer.worker, offer.execution)
        self.registry.refused(offer.worker, draining=False)
        self.registry.suspect(offer.worker, clock.monotonic_s())
        if not offer.late and not offer.held.settled:
            self.matcher.put_back(offer.held)

    # What happens to workers

    def suspect(self, worker_id: str) -> bool:
        """There is news that a worker's connection ended; False if it is not one of ours."""
        worker = self.registry.workers.get(worker_id)
        if worker is not None:
            self.registry.suspect(worker, clock.monotonic_s())
        return worker is not None

    def lose(self, worker_id: str, reason: str) -> None:
        """A worker is gone; `reason` says how that was seen, and is empty if it left in an orderly way."""
        worker = self.registry.remove(worker_id)
        if worker is None:
            return
        log.info("worker is gone", pool=self.pool, worker=worker_id, reason=reason or "stopped")
        if reason:
            self.stats.lost[reason] += 1
            self._voice.announce_loss(worker_id, reason)
        for offer in self.offers.of_worker(worker):
            self.offers.withdraw(offer)
            if not offer.late and not offer.held.settled:
                offer.held.doubtful += 1
                self.matcher.put_back(offer.held)
        self.matcher.pump()

    def cordon(self, names: frozenset[str]) -> None:
        """Give workers of these names, and no others, no new work; what they run, they finish."""
        for worker in self.registry.cordon(names):
            self.matcher.has_room(worker)

    # What the client wants, or an operator

    def cancel(self, request_id: str, *, by_operator: bool = False) -> bool:
        """Call a request off; False if it is not held here."""
        held = self.ledger.get(request_id)
        if held is None:
            return False
        held.by_operator = held.by_operator or by_operator
        if self.queue.remove(request_id) is not None:
            self.ledger.cancelled(held)
        else:
            held.cancelled = True
        return True

    def end_stored(self, envelope: Envelope, code: str, text: str) -> None:
        """Tell a gateway that a request which nobody has taken out of the stream will not run."""
        if subjects.is_gateway_reply(envelope.reply):
            self._voice.fail(envelope.reply, make_attempt(envelope.retry, 1, 1), code, text)

    # The clock

    def sweep(self, proven_s: float) -> bool:
        """End what has waited too long; `proven_s` is when the bus was last seen to work.

        Returns:
            Whether something can only be decided once the bus is proven to work: silence may be the bus's fault.
        """
        now_s = clock.monotonic_s()
        self.matcher.expire()
        if not self.matcher.open:
            return False
        self.matcher.end_rests(now_s)
        for offer in self.offers.overdue(proven_s):
            self._on_unanswered(offer, now_s)
        self.offers.forget_late(now_s - _LATE_S)
        suspects = self.registry.suspects(now_s)
        for worker in suspects:
            if worker.suspected_s is not None and proven_s >= worker.suspected_s + self._grace_s:
                self.lose(worker.id, "silent" if worker.last_beat_s + self._beat_timeout_s < now_s else "disconnected")
        self.matcher.pump()
        self._direct.look(now_s)
        return bool(suspects) or self.offers.any_past(now_s)

    def pause(self) -> None:
        """The bus is away: nothing is offered, nobody is judged."""
        self.matcher.open = False

    def extend_leases(self) -> None:
        """Tell JetStream that everything held is still ours."""
        for held in self.ledger.all():
            self._voice.keep(held)

    def resume(self) -> None:
        """The bus is back: nobody is judged by the time it was away."""
        now_s = clock.monotonic_s()
        self.registry.forgive(now_s)
        self.offers.restart(now_s)
        self.extend_leases()
        # What is stored has not been seen yet.
        self._direct.close()
        self.matcher.open = not self.matcher.stopping
        self.matcher.pump()

    def _on_unanswered(self, offer: Offer, now_s: float) -> None:
        self.stats.unanswered += 1
        self.registry.unanswered(offer.worker, now_s)
        if not offer.held.settled:
            offer.held.doubtful += 1
            self.matcher.put_back(offer.held)
