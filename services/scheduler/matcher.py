"""Brings waiting requests and workers with room together."""

from collections.abc import Callable

from libs.kit import clock
from libs.kit.bus import BusOverloadedError, BusPayloadError
from services.scheduler.domain.held import Held
from services.scheduler.domain.offers import Offers
from services.scheduler.domain.queue import WaitingQueue
from services.scheduler.domain.workers import Registry, Worker
from services.scheduler.ledger import Ledger
from services.scheduler.limits import Limits
from services.scheduler.stats import Stats
from services.scheduler.voice import Voice


class Matcher:
    """Queue, workers and open offers of one pool, and the rule that nothing waits that could run."""

    def __init__(self, voice: Voice, ledger: Ledger, limits: Limits, stats: Stats) -> None:
        self.queue = WaitingQueue()
        self.registry = Registry(beat_timeout_s=limits.beat_timeout_s)
        self.offers = Offers(timeout_s=limits.accept_timeout_s)
        self.open = False
        """Whether offers are made: not while the bus is away, nor during shutdown."""
        self.stopping = False
        self.on_wait: Callable[[], None] = _nothing
        """Called whenever a request has to wait."""
        self._voice = voice
        self._ledger = ledger
        self._max_doubtful = limits.max_doubtful
        self._stats = stats

    def admit(self, held: Held) -> None:
        """Take in a request that is new here."""
        self._ledger.hold(held)
        if self.stopping:
            self._ledger.given_back(held)
        elif self._ledger.is_called_off(held.request_id):
            self._ledger.cancelled(held)
        elif held.envelope.start_by_ms < clock.unix_ms():
            self._time_out(held)
        elif self.queue or not self._offer_at_once(held):
            self._wait(held)
            self.pump()

    def put_back(self, held: Held) -> None:
        """Offer a request that was offered in vain to another, or let it wait.

        One that is called off, or has been tried too often, ends here.
        """
        if held.cancelled:
            self._ledger.cancelled(held)
        elif self.stopping:
            self._ledger.given_back(held)
        elif held.doubtful >= self._max_doubtful:
            self._ledger.failed(held, "no_worker", "No worker answered for the request; try again.")
        elif held.envelope.start_by_ms < clock.unix_ms():
            self._time_out(held)
        elif self.queue or not self._offer_at_once(held):
            self._wait(held)

    def has_room(self, worker: Worker) -> None:
        """Look again at what waits: something changed for `worker`."""
        if self.queue:
            if worker.open:
                self.queue.wake(worker.models.keys())
            self.pump()

    def pump(self) -> None:
        """Offer requests for as long as one that waits and a worker with room fit."""
        while self.queue and self.registry.open_workers and self.open:
            match = self.queue.take(self.registry.choose)
            if match is None:
                return
            held, worker = match
            if held.envelope.start_by_ms < clock.unix_ms():
                self._time_out(held)
            elif not self._offer(held, worker):
                self.queue.push(held)
                return

    def expire(self) -> None:
        """End what may not be started any more."""
        for held in self.queue.expired(clock.unix_ms()):
            self._time_out(held)

    def end_rests(self, now_s: float) -> None:
        """Let workers that left an offer unanswered have another."""
        for worker in self.registry.end_rests(now_s):
            self.queue.wake(worker.models.keys())

    def hand_back_waiting(self) -> None:
        """Shutdown: offer nothing more, and give the next scheduler what was not offered."""
        self.stopping, self.open = True, False
        for held in self.queue.drain():
            self._ledger.given_back(held)

    def hand_back_offered(self) -> None:
        """Shutdown: nobody has answered for these."""
        for offer in self.offers.open_offers():
            self.offers.withdraw(offer)
            if not offer.held.settled:
                self._ledger.given_back(offer.held)

    def _wait(self, held: Held) -> None:
        """Let it wait where nothing can lose it: in the stream, and here only what is leased from there."""
        self.on_wait()
        if held.express:
            self._ledger.given_back(held)
        else:
            self.queue.push(held)

    def _offer_at_once(self, held: Held) -> bool:
        """Skip the queue where nothing waits: it is the common case, and costs half as much."""
        worker = self.registry.choose(held.envelope.model) if self.open else None
        return worker is not None and self._offer(held, worker)

    def _offer(self, held: Held, worker: Worker) -> bool:
        """Offer one request; False if nothing more can be sent now."""
        now_s = clock.monotonic_s()
        execution = (held.request_id, held.attempt)
        offer = self.offers.make(held, worker, execution, now_s)
        try:
            self._voice.hand_over(offer)
        except BusOverloadedError:
            self.offers.withdraw(offer)
            return False
        except BusPayloadError as error:
            self.offers.withdraw(offer)
            self._ledger.failed(held, "request_too_large", str(error))
            return True
        self._stats.handed_over += 1
        self.registry.assign(worker, execution, now_s)
        return True

    def _time_out(self, held: Held) -> None:
        self._ledger.failed(held, "queue_timeout", "No worker was free in time; try again later.")


def _nothing() -> None:
    """Nobody wants to know."""
