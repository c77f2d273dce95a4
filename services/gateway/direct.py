"""Which worker a request is handed to without a scheduler: while nothing waits, there is nothing to decide about it."""

import hashlib
import math
from collections import Counter
from functools import lru_cache
from typing import Final, NamedTuple

from libs.contracts.inference import DIRECT_LEASE_S, DirectWorkers
from libs.kit import clock
from services.gateway.fleet import Fleet, Place

AVOIDED_S: Final = 1.0
"""For so long a worker that refused a request, or left it unanswered, is given none but by a scheduler."""


class _Named(NamedTuple):
    workers: frozenset[str]
    until_s: float


_NOBODY: Final = _Named(frozenset(), math.inf)


class Direct:
    """The workers that every scheduler of a pool has named lately, and what this gateway has given each of them."""

    def __init__(self, fleet: Fleet, instance: str) -> None:
        """Nobody is named yet; `instance` is this gateway's id, which decides among workers that are alike."""
        self._fleet = fleet
        self._instance = instance
        self._named: dict[str, dict[str, _Named]] = {}
        """By pool and scheduler."""
        self._agreed: dict[str, _Named] = {}
        """By pool: whom all of them name."""
        self._given: Counter[str] = Counter()
        self._avoided_until_s: dict[str, float] = {}

    def hear(self, said: DirectWorkers) -> None:
        """A scheduler names workers, or nobody."""
        now_s = clock.monotonic_s()
        named = _Named(frozenset(said.workers), now_s + DIRECT_LEASE_S)
        self._named.setdefault(said.pool, {})[said.scheduler] = named
        self._agree(said.pool, now_s)

    def clear(self) -> None:
        """Nobody can be heard: nothing that was said holds any more."""
        self._named.clear()
        self._agreed.clear()

    def choose(self, pool: str, model: str) -> str:
        """The worker for a request, or nothing if a scheduler must say.

        Of those with room: one that holds the model as an adapter, then the least loaded by us. Of equal ones each
        gateway prefers another, for it does not know what the others have given them.
        """
        agreed = self._agreed.get(pool, _NOBODY)
        if not agreed.workers:
            return ""
        now_s = clock.monotonic_s()
        if now_s >= agreed.until_s:
            agreed = self._agree(pool, now_s)
        best, best_rank = "", (True, math.inf, 0)
        for worker, place in self._fleet.places(model).items():
            if worker in agreed.workers and self._has_room(worker, place, now_s):
                load = self._given[worker] / place.capacity
                rank = (not place.resident, load, _preference(self._instance, worker))
                if not best or rank < best_rank:
                    best, best_rank = worker, rank
        return best

    def take(self, worker: str) -> None:
        """A request was sent to `worker`."""
        self._given[worker] += 1

    def give_back(self, worker: str, *, in_vain: bool) -> None:
        """It is over, or was sent `in_vain`: then the worker is avoided for a while."""
        self._given[worker] -= 1
        if self._given[worker] <= 0:
            del self._given[worker]
        if in_vain:
            now_s = clock.monotonic_s()
            avoided = {one: until_s for one, until_s in self._avoided_until_s.items() if now_s < until_s}
            self._avoided_until_s = {**avoided, worker: now_s + AVOIDED_S}

    def _has_room(self, worker: str, place: Place, now_s: float) -> bool:
        return self._given[worker] < place.capacity and now_s >= self._avoided_until_s.get(worker, 0.0)

    def _agree(self, pool: str, now_s: float) -> _Named:
        """Whom every scheduler names whose word still holds, and until one of them ends."""
        named = self._named[pool] = {
            scheduler: word for scheduler, word in self._named[pool].items() if now_s < word.until_s
        }
        agreed = _NOBODY
        if named:
            workers = frozenset.intersection(*(word.workers for word in named.values()))
            agreed = _Named(workers, min(word.until_s for word in named.values()))
        self._agreed[pool] = agreed
        return agreed


@lru_cache(maxsize=4096)
def _preference(instance: str, worker: str) -> int:
    """A gateway's order among workers that are alike: that of every gateway is another."""
    return int.from_bytes(hashlib.sha256(f"{instance} {worker}".encode()).digest()[:8])
