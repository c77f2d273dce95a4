"""The worker registry: who lives, what they serve, how much room they have."""

from dataclasses import dataclass, field
from typing import Final

from libs.contracts.inference import WorkerBeat, WorkerState

Execution = tuple[str, int]
"""Request id and attempt."""

SETTLE_S: Final = 0.25
"""A beat that arrives this soon after a hand-over may have been said before it."""
MAX_REST_S: Final = 30.0
_NOBODY: Final[dict[str, "Worker"]] = {}


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """One worker as the scheduler knows it."""

    id: str
    name: str
    last_beat_s: float
    state: WorkerState = WorkerState.READY
    capacity: int = 0
    models: dict[str, bool] = field(default_factory=dict)
    """Names that it serves; True where the name is an adapter that it holds."""
    assigned: dict[Execution, float] = field(default_factory=dict)
    """What occupies its credits, and since when."""
    missing: set[Execution] = field(default_factory=set)
    """Assigned, but not named by the last beat that should have named it."""
    full: bool = False
    """It refused work, or was deaf; believed until it is heard again."""
    strikes: int = 0
    """Offers in a row that it left unanswered."""
    rests_until_s: float = 0.0
    """It left an offer unanswered and gets no other before this."""
    suspected_s: float | None = None
    """Since when there is reason to think that it is dead."""
    cordoned: bool = False
    """An operator wants it to be given no new work."""
    open: bool = False
    """Whether it may be given work now."""

    @property
    def credits(self) -> int:
        """Executions that it has room for."""
        return max(0, self.capacity - len(self.assigned))


class Registry:
    """The workers of one pool. Pure: time comes in as an argument, monotonic seconds."""

    def __init__(self, *, beat_timeout_s: float) -> None:
        self._beat_timeout_s = beat_timeout_s
        self._serving: dict[str, dict[str, Worker]] = {}
        self._cordoned: frozenset[str] = frozenset()
        self.workers: dict[str, Worker] = {}
        self.open_workers = 0
        """How many may be given work now; 0 means that choosing is pointless."""

    def beat(self, beat: WorkerBeat, now_s: float) -> Worker:
        """Take in what a worker says of itself; one never heard of is new. Not for state `stopped`: see `remove`."""
        worker = self.workers.get(beat.worker)
        if worker is None:
            worker = self.workers[beat.worker] = Worker(id=beat.worker, name=beat.name, last_beat_s=now_s)
            worker.cordoned = beat.name in self._cordoned
        worker.last_beat_s, worker.suspected_s, worker.full = now_s, None, False
        worker.state, worker.capacity = beat.state, beat.capacity
        self._index(worker, {model.name: model.adapter for model in beat.models})
        self._reconcile(worker, {(run.request_id, run.attempt) for run in beat.running}, now_s)
        self._refresh(worker)
        return worker

    def cordon(self, names: frozenset[str]) -> list[Worker]:
        """Give workers of these names, and no others, no new work; returns those that may be given some again."""
        self._cordoned = names
        changed = [worker for worker in self.workers.values() if worker.cordoned != (worker.name in names)]
        for worker in changed:
            worker.cordoned = not worker.cordoned
            self._refresh(worker)
        return [worker for worker in changed if worker.open]

    def choose(self, model: str) -> Worker | None:
        """The worker for the next request of `model`: holds it as an adapter, least loaded, first id."""
        if not self.open_workers:
            return None
        best: Worker | None = None
        best_resident, best_load = False, 0.0
        for worker in self._serving.get(model, _NOBODY).values():
            if not worker.open:
                continue
            resident, load = worker.models[model], len(worker.assigned) / worker.capacity
            if (
                best is None
                or resident > best_resident
                or (resident == best_resident and (load < best_load or (load == best_load and worker.id < best.id)))
            ):
                best, best_resident, best_load = worker, resident, load
        return best

    def assign(self, worker: Worker, execution: Execution, now_s: float) -> None:
        """Occupy a credit."""
        worker.assigned[execution] = now_s
        worker.missing.discard(execution)
        self._refresh(worker)

    def release(self, worker: Worker, execution: Execution) -> None:
        """Give a credit back; an execution that is not assigned changes nothing but shows that there is room."""
        worker.assigned.pop(execution, None)
        worker.full = False
        self._refresh(worker)

    def refused(self, worker: Worker, *, draining: bool) -> None:
        """Give no more work until the worker is heard again."""
        if draining:
            worker.state = WorkerState.DRAINING
        worker.full = True
        self._refresh(worker)

    def unanswered(self, worker: Worker, now_s: float) -> None:
        """Give no more work for a while that doubles with each offer left unanswered in a row."""
        worker.strikes += 1
        worker.rests_until_s = now_s + min(MAX_REST_S, 2.0 ** (worker.strikes - 1))
        self._refresh(worker)

    def answered(self, worker: Worker) -> None:
        """It reacts to offers: no more resting."""
        if worker.strikes:
            worker.strikes, worker.rests_until_s = 0, 0.0
            self._refresh(worker)

    def end_rests(self, now_s: float) -> list[Worker]:
        """Workers that may be tried again from now on."""
        rested = [worker for worker in self.workers.values() if 0.0 < worker.rests_until_s <= now_s]
        for worker in rested:
            worker.rests_until_s = 0.0
            self._refresh(worker)
        return rested

    def suspect(self, worker: Worker, now_s: float) -> None:
        """There is reason to think that it is dead; only a beat clears it."""
        if worker.suspected_s is None:
            worker.suspected_s = now_s

    def suspects(self, now_s: float) -> list[Worker]:
        """Everybody suspected or overdue by now."""
        for worker in self.workers.values():
            if now_s - worker.last_beat_s > self._beat_timeout_s:
                self.suspect(worker, now_s)
        return [worker for worker in self.workers.values() if worker.suspected_s is not None]

    def forgive(self, now_s: float) -> None:
        """Start every clock anew: it was we who could not hear."""
        for worker in self.workers.values():
            worker.last_beat_s, worker.suspected_s = now_s, None

    def remove(self, worker_id: str) -> Worker | None:
        """Forget a worker and its credits; None if it is not known."""
        worker = self.workers.pop(worker_id, None)
        if worker is not None:
            self._index(worker, {})
            worker.capacity = 0
            self._refresh(worker)
        return worker

    def _index(self, worker: Worker, models: dict[str, bool]) -> None:
        if models == worker.models:
            return
        for name in worker.models.keys() - models.keys():
            serving = self._serving[name]
            del serving[worker.id]
            if not serving:
                del self._serving[name]
        for name in models:
            self._serving.setdefault(name, {})[worker.id] = worker
        worker.models = models

    def _reconcile(self, worker: Worker, running: set[Execution], now_s: float) -> None:
        """Believe the worker about what it runs: at once for what is there, after two beats for what is not."""
        absent = {
            execution
            for execution, since_s in worker.assigned.items()
            if execution not in running and now_s - since_s >= SETTLE_S
        }
        for execution in absent & worker.missing:
            del worker.assigned[execution]
        worker.missing = absent - worker.missing
        for execution in running:
            worker.assigned.setdefault(execution, now_s)

    def _refresh(self, worker: Worker) -> None:
        is_open = (
            worker.capacity > len(worker.assigned)
            and worker.state is WorkerState.READY
            and not worker.full
            and not worker.rests_until_s
            and not worker.cordoned
        )
        if is_open != worker.open:
            worker.open = is_open
            self.open_workers += 1 if is_open else -1
