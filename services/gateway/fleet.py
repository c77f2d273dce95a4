"""What the workers' beats tell: which models exist, where they run, and who has fallen silent."""

from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.contracts.inference import ServedModel, WorkerBeat, WorkerState
from libs.kit import clock
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

FORGET_AFTER_S: Final = 3_600.0
"""A worker that has been gone this long no longer makes its models known."""
NO_WORKER_RETRY_S: Final = 5.0
_NOWHERE: Final[dict[str, "Place"]] = {}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests for one model go."""

    model: str
    pool: str
    routes: frozenset[str]
    """Endpoints that it can answer; empty if the workers did not say."""
    ready_workers: int
    details: ServedModel
    known_since_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """One ready worker, as a model that it serves sees it."""

    capacity: int
    """Executions that it takes at the same time."""
    resident: bool
    """Whether it holds the model as an adapter."""


@dataclass(slots=True)
class _Worker:
    beat: WorkerBeat
    heard_s: float
    alive: bool = True


@dataclass(slots=True)
class Fleet:
    """The workers as this gateway sees them, and the routing table made from them."""

    preferred_pool: str = "default"
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _targets: dict[str, Target] = field(default_factory=dict)
    _places: dict[str, dict[str, Place]] = field(default_factory=dict)

    @property
    def has_ready_worker(self) -> bool:
        """Whether anybody can take a request now."""
        return any(worker.alive and worker.beat.state == WorkerState.READY for worker in self._workers.values())

    @property
    def targets(self) -> list[Target]:
        """Every known model, by name."""
        return [self._targets[name] for name in sorted(self._targets)]

    def target(self, model: str, route: str) -> Target:
        """Where a request for `model` goes.

        Raises:
            ServiceError: `model_not_found`, `unsupported_route`, or `no_worker` while no worker was ever heard.
        """
        target = self._targets.get(model)
        if target is None:
            if not self._workers:
                raise ServiceError(
                    "no_worker", "No worker has started yet. Try again soon.", retry_after_s=NO_WORKER_RETRY_S
                )
            raise unknown_model(model)
        if target.routes and route not in target.routes:
            raise ServiceError("unsupported_route", f"The model `{model}` cannot answer {route}.", param="model")
        return target

    def places(self, model: str) -> dict[str, Place]:
        """The ready workers that serve `model`, by id."""
        return self._places.get(model, _NOWHERE)

    def ready(self, model: str, route: str) -> Target | None:
        """Where a request for `model` goes if a ready worker can answer it there; else None."""
        target = self._targets.get(model)
        if target is None or not target.ready_workers or (target.routes and route not in target.routes):
            return None
        return target

    def hear(self, beat: WorkerBeat) -> None:
        """Take a worker's beat."""
        now_s = clock.monotonic_s()
        alive = beat.state != WorkerState.STOPPED
        known = self._workers.get(beat.worker)
        if known is None:
            self._workers[beat.worker] = _Worker(beat, now_s, alive)
            self._drop_predecessors(beat)
            self._rebuild()
            return
        before = known.beat
        changed = known.alive != alive or (before.state, before.capacity, before.models) != (
            beat.state,
            beat.capacity,
            beat.models,
        )
        known.beat, known.heard_s, known.alive = beat, now_s, alive
        if changed:
            self._rebuild()

    def lose(self, worker: str) -> None:
        """A worker is dead; its models stay known, so that requests wait for the next one."""
        known = self._workers.get(worker)
        if known is not None and known.alive:
            known.alive = False
            log.warning("worker lost", worker=worker, name=known.beat.name)
            self._rebuild()

    def silent(self, limit_s: float) -> list[str]:
        """Workers believed alive that have not been heard for `limit_s`; also forgets those long gone."""
        now_s = clock.monotonic_s()
        gone = [
            name for name, known in self._workers.items() if not known.alive and now_s - known.heard_s > FORGET_AFTER_S
        ]
        for name in gone:
            del self._workers[name]
        if gone:
            self._rebuild()
        return [name for name, known in self._workers.items() if known.alive and now_s - known.heard_s > limit_s]

    def excuse(self) -> None:
        """Count silence from now on: it was this process that could not hear."""
        now_s = clock.monotonic_s()
        for known in self._workers.values():
            if known.alive:
                known.heard_s = now_s

    def _drop_predecessors(self, beat: WorkerBeat) -> None:
        """Forget dead instances of the worker that has now started again."""
        for name in [
            name
            for name, known in self._workers.items()
            if name != beat.worker and not known.alive and (known.beat.name, known.beat.pool) == (beat.name, beat.pool)
        ]:
            del self._workers[name]

    def _rebuild(self) -> None:
        offers: dict[str, list[tuple[WorkerBeat, ServedModel, bool]]] = {}
        for known in self._workers.values():
            ready = known.alive and known.beat.state == WorkerState.READY
            for model in known.beat.models:
                offers.setdefault(model.name, []).append((known.beat, model, ready))
        self._targets = {name: self._choose(name, offered) for name, offered in offers.items()}
        self._places = {
            name: {beat.worker: Place(beat.capacity, model.adapter) for beat, model, ready in offered if ready}
            for name, offered in offers.items()
        }

    def _choose(self, name: str, offered: list[tuple[WorkerBeat, ServedModel, bool]]) -> Target:
        """The pool with a ready worker, preferring the configured one; routes of its ready workers, else of all."""
        ready = [offer for offer in offered if offer[2]]
        pool = min({beat.pool for beat, _, _ in ready or offered}, key=lambda pool: (pool != self.preferred_pool, pool))
        chosen = [offer for offer in ready or offered if offer[0].pool == pool]
        previous = self._targets.get(name)
        return Target(
            model=name,
            pool=pool,
            routes=frozenset(route for _, model, _ in chosen for route in model.routes),
            ready_workers=len(chosen) if ready else 0,
            details=chosen[-1][1],
            known_since_ms=previous.known_since_ms if previous else clock.unix_ms(),
        )


def unknown_model(model: str) -> ServiceError:
    """The same refusal for a model that nobody serves and for one that is another tenant's."""
    text = f"The model `{model[:200]}` does not exist. `GET /v1/models` lists them."
    return ServiceError("model_not_found", text, param="model")
