"""The order of waiting: service class, then age, and a small share that keeps lower classes from starving."""

import itertools
from collections.abc import Callable, Collection
from typing import Final, Generic, NamedTuple, TypeVar

from libs.contracts.inference import ServiceClass
from services.scheduler.domain.heap import KeyedHeap
from services.scheduler.domain.held import Held

CLASSES: Final = tuple(ServiceClass)
SHARE_EVERY: Final = 16
"""Every so many turns the oldest request of a lower class goes first."""

_RANK: Final = {service_class: rank for rank, service_class in enumerate(CLASSES)}
_LANES_KEPT: Final = 256

P = TypeVar("P")
_Age = tuple[int, int]


class _Lane:
    """What waits in one class for one model."""

    __slots__ = ("ages", "asleep", "model", "number", "rank")

    def __init__(self, number: int, rank: int, model: str) -> None:
        self.number = number
        self.rank = rank
        self.model = model
        self.ages: KeyedHeap[int] = KeyedHeap()
        self.asleep = False


class _Choice(NamedTuple, Generic[P]):
    """A lane whose first request could run now."""

    age: _Age
    lane: _Lane
    place: P


class WaitingQueue:
    """Every request of one pool that waits for a worker; all operations are O(log n), amortised.

    A lane per class and model keeps requests for a model that nobody can run now out of everybody else's way: such a
    lane sleeps until `wake` names its model.
    """

    def __init__(self, *, share_every: int = SHARE_EVERY) -> None:
        self._share_every = share_every
        self._turns = 0
        self._held: dict[int, Held] = {}
        self._numbers: dict[str, int] = {}
        self._arrivals = itertools.count(1)
        self._lane_numbers = itertools.count(1)
        self._lanes: dict[tuple[int, str], _Lane] = {}
        self._by_number: dict[int, _Lane] = {}
        self._awake: tuple[KeyedHeap[_Age], ...] = tuple(KeyedHeap() for _ in CLASSES)
        self._asleep: dict[str, list[_Lane]] = {}
        self._start_by: KeyedHeap[int] = KeyedHeap()
        self._depths = [0] * len(CLASSES)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._numbers

    def depth(self, service_class: ServiceClass) -> int:
        """How many requests of `service_class` wait."""
        return self._depths[_RANK[service_class]]

    def oldest_ms(self, service_class: ServiceClass) -> int:
        """When the oldest request of `service_class` that waits was submitted; 0: none does."""
        rank = _RANK[service_class]
        firsts = [lane.ages.first() for lane in self._lanes.values() if lane.rank == rank]
        return min((first[0] for first in firsts if first is not None), default=0)

    def push(self, held: Held) -> None:
        """Let `held` wait at the place of its age, which is its old place if it waited before."""
        envelope = held.envelope
        number = held.arrival = held.arrival or next(self._arrivals)
        self._held[number] = held
        self._numbers[envelope.request_id] = number
        self._start_by.set(number, envelope.start_by_ms)
        lane = self._lane(_RANK[envelope.service_class], envelope.model)
        self._depths[lane.rank] += 1
        lane.ages.set(number, envelope.submitted_ms)
        self._show(lane)

    def remove(self, request_id: str) -> Held | None:
        """Take a request out of the middle; None if it does not wait here."""
        number = self._numbers.get(request_id)
        if number is None:
            return None
        held = self._held[number]
        self._take_out(held, self._lanes[_RANK[held.envelope.service_class], held.envelope.model])
        return held

    def take(self, find: Callable[[str], P | None]) -> tuple[Held, P] | None:
        """Take the request whose turn it is among those whose model `find` has a place for.

        Returns:
            The request and the place that `find` gave, or None if nothing that waits can run now.
        """
        choice: _Choice[P] | None = None
        rank = 0
        for rank in range(len(CLASSES)):
            choice = self._first(rank, find)
            if choice is not None:
                break
        if choice is None:
            return None
        self._turns += 1
        if self._turns % self._share_every == 0:
            lower = [found for below in range(rank + 1, len(CLASSES)) if (found := self._first(below, find))]
            choice = min(lower, key=lambda found: found.age, default=choice)
        held = self._held[choice.age[1]]
        self._take_out(held, choice.lane)
        return held, choice.place

    def wake(self, models: Collection[str]) -> None:
        """Look again at what waits for `models`: a worker that serves them has room."""
        if not self._asleep:
            return
        few, many = (self._asleep, models) if len(self._asleep) < len(models) else (models, self._asleep)
        for model in [model for model in few if model in many]:
            for lane in self._asleep.pop(model):
                lane.asleep = False
                self._show(lane)

    def expired(self, now_ms: int) -> list[Held]:
        """Take out everything that may not be started any more."""
        gone = []
        while (first := self._start_by.first()) is not None and first[0] < now_ms:
            held = self._held[first[1]]
            self.remove(held.request_id)
            gone.append(held)
        return gone

    def drain(self) -> list[Held]:
        """Take out everything, in order of arrival."""
        return [held for number in sorted(self._held) if (held := self.remove(self._held[number].request_id))]

    def _lane(self, rank: int, model: str) -> _Lane:
        lane = self._lanes.get((rank, model))
        if lane is None:
            lane = self._lanes[rank, model] = _Lane(next(self._lane_numbers), rank, model)
            self._by_number[lane.number] = lane
        return lane

    def _show(self, lane: _Lane) -> None:
        """Let the class know the age of the lane's first request."""
        if lane.asleep:
            return
        first = lane.ages.first()
        if first is not None:
            self._awake[lane.rank].set(lane.number, first)

    def _first(self, rank: int, find: Callable[[str], P | None]) -> _Choice[P] | None:
        """The oldest request of a class that can run now; lanes that cannot are put to sleep on the way."""
        awake = self._awake[rank]
        while (first := awake.first()) is not None:
            age, number = first
            lane = self._by_number[number]
            place = find(lane.model)
            if place is not None:
                return _Choice(age, lane, place)
            awake.drop(number)
            lane.asleep = True
            self._asleep.setdefault(lane.model, []).append(lane)
        return None

    def _take_out(self, held: Held, lane: _Lane) -> None:
        number = held.arrival
        del self._held[number]
        del self._numbers[held.request_id]
        self._start_by.drop(number)
        self._depths[lane.rank] -= 1
        lane.ages.drop(number)
        if lane.ages:
            self._show(lane)
        else:
            self._empty(lane)

    def _empty(self, lane: _Lane) -> None:
        """A lane without requests neither sleeps nor stands in the class's order."""
        if lane.asleep:
            lane.asleep = False
            sleepers = self._asleep[lane.model]
            sleepers.remove(lane)
            if not sleepers:
                del self._asleep[lane.model]
        else:
            self._awake[lane.rank].drop(lane.number)
        if len(self._lanes) > _LANES_KEPT:
            # Names that are never seen again cost nothing.
            del self._lanes[lane.rank, lane.model]
            del self._by_number[lane.number]
