"""Open offers: requests that a worker has been asked to take and has not answered for."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from services.scheduler.domain.held import Held
from services.scheduler.domain.workers import Execution, Worker


@dataclass(slots=True, eq=False)
class Offer:
    """One request offered to one worker."""

    token: str
    held: Held
    worker: Worker
    execution: Execution
    deadline_s: float
    late: bool = False
    """Its time is over and the request has been taken back; an answer still counts."""


class Offers:
    """Offers by the token that the answer will carry."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._tokens = itertools.count(1)
        self._open: dict[str, Offer] = {}
        self._late: dict[str, Offer] = {}

    def __len__(self) -> int:
        return len(self._open)

    def make(self, held: Held, worker: Worker, execution: Execution, now_s: float) -> Offer:
        """Open an offer."""
        token = f"{next(self._tokens):x}"
        offer = self._open[token] = Offer(token, held, worker, execution, now_s + self._timeout_s)
        return offer

    def answer(self, token: str) -> Offer | None:
        """Close the offer that was answered, open or late; None if it is not known any more."""
        return self._open.pop(token, None) or self._late.pop(token, None)

    def withdraw(self, offer: Offer) -> None:
        """Close an offer without an answer."""
        self._open.pop(offer.token, None)
        self._late.pop(offer.token, None)

    def of_worker(self, worker: Worker) -> list[Offer]:
        """Every offer to `worker`, late ones too."""
        return [offer for offer in self._all() if offer.worker is worker]

    def of_execution(self, worker: Worker, execution: Execution) -> Offer | None:
        """The offer that led to an execution, if its answer has not come."""
        return next((offer for offer in self.of_worker(worker) if offer.execution == execution), None)

    def overdue(self, proven_s: float) -> list[Offer]:
        """Offers whose time was over when the bus was last proven to work; they become late ones."""
        found = []
        # Offers are made in order of time, so the first that is not overdue ends the search.
        for offer in self._open.values():
            if offer.deadline_s > proven_s:
                break
            found.append(offer)
        for offer in found:
            del self._open[offer.token]
            offer.late = True
            self._late[offer.token] = offer
        return found

    def any_past(self, now_s: float) -> bool:
        """Whether an open offer's time is over."""
        first = next(iter(self._open.values()), None)
        return first is not None and first.deadline_s <= now_s

    def forget_late(self, before_s: float) -> None:
        """Stop waiting for answers to offers that ended before `before_s`."""
        for offer in [offer for offer in self._late.values() if offer.deadline_s < before_s]:
            del self._late[offer.token]

    def restart(self, now_s: float) -> None:
        """Give every open offer its full time again: it was we who could not hear."""
        for offer in self._open.values():
            offer.deadline_s = now_s + self._timeout_s

    def open_offers(self) -> list[Offer]:
        """Offers whose time is not over."""
        return list(self._open.values())

    def _all(self) -> Iterator[Offer]:
        yield from self._open.values()
        yield from self._late.values()
