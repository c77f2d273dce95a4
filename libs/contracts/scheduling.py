"""Calls that the scheduler answers: who works, who is given no new work, what waits, and what is called off.

Calls go to `subjects.scheduler_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
"""

from typing import Final

import msgspec

from libs.contracts.inference import ServiceClass


class Cordon(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Workers of this name are given no new work; kept in the bucket `cordons`, so that it outlives schedulers."""

    pool: str
    name: str
    """As an operator calls the worker: it holds for the next process of that name, too."""
    author: str
    since_ms: int
    reason: str = ""


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A worker as its last beat described it, and whether it is given work."""

    id: str
    """Of this run of its process."""
    name: str
    pool: str
    state: str
    """`ready` or `draining`, as the worker says itself."""
    open: bool
    """Whether it may be given work now."""
    capacity: int
    """Executions that it takes at the same time."""
    running: int
    credits: int
    """Executions that it has room for; 0 while it is cordoned."""
    beat_age_ms: int
    models: tuple[str, ...] = ()
    """Names that it answers to."""
    adapters: tuple[str, ...] = ()
    """Of them, those that it holds as adapters."""
    base: str = ""
    engine: str = ""
    generation: int = 0
    """The newest deployment of its pool that it has taken in."""
    missing: tuple[str, ...] = ()
    """References that this deployment wants and that are not loaded."""
    error: str = ""
    """Why something of the deployment could not be carried out."""
    requests: tuple[str, ...] = ()
    """Ids of what runs there; only of one worker that is asked for alone."""
    cordon: Cordon | None = None
    revision: int = 0
    """Of the cordon; 0 if there has never been one."""


class FindWorkers(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask who works, by id."""

    pool: str = ""
    after: str = ""
    """Only with larger ids: `next` of the page before."""
    limit: int = 100


class WorkerPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Workers that are alive, and cordons of which no worker is."""

    workers: tuple[WorkerStatus, ...]
    absent: tuple[Cordon, ...] = ()
    """On the first page only."""
    next: str = ""


class WorkerRef(msgspec.Struct, frozen=True):
    """One worker, by its id or by its name."""

    id: str


class CordonWorker(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Give a worker no new work."""

    id: str
    author: str
    reason: str = ""
    expected_revision: int | None = None


class DrainWorker(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Give a worker no new work, and wait for a while until nothing runs there."""

    id: str
    author: str
    reason: str = ""
    wait_s: float = 0.0
    """At most `MAX_WAIT_S`; whoever wants to wait longer asks again."""


class UncordonWorker(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Give a worker work again."""

    id: str
    author: str
    expected_revision: int | None = None


class WorkerChanged(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What has become of a worker, and of its pool."""

    worker: WorkerStatus | None = None
    """None: a cordon was taken away of which no worker is alive."""
    idle: bool = False
    """Whether nothing runs there and nothing new comes."""
    left: int = 0
    """Workers of its pool that may still be given work, or could if they had room."""
    warning: str = ""


class FindQueues(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask how much waits, in every pool or one."""

    pool: str = ""


class QueueStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What waits in one pool and class."""

    pool: str
    service_class: ServiceClass
    depth: int
    oldest_ms: int = 0
    """How long the oldest has waited."""


class PoolStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One pool: who works for it, and what waits."""

    pool: str
    workers: int
    open: int
    """Workers that may be given work now."""
    capacity: int
    running: int
    waiting: int
    queues: tuple[QueueStatus, ...]


class PoolPage(msgspec.Struct, frozen=True):
    """Pools, by name."""

    pools: tuple[PoolStatus, ...]


class FindRequests(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask what waits in a pool, oldest first."""

    pool: str
    service_class: ServiceClass | None = None
    after: int = 0
    """Only behind this place: `next` of the page before."""
    limit: int = 100


class WaitingRequest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A request that waits; never its words."""

    id: str
    place: int
    """Its number in the stream."""
    tenant: str
    model: str
    route: str
    service_class: ServiceClass
    waited_ms: int
    left_ms: int
    """Until it is given up."""
    size_bytes: int
    retry: int = 0
    stream: bool = False


class RequestPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What waits, oldest first."""

    requests: tuple[WaitingRequest, ...]
    next: int = 0


class CancelRequest(msgspec.Struct, frozen=True):
    """Call one request off, whether it waits or runs; its client is told so."""

    id: str
    author: str


class RequestCancelled(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What it was doing."""

    id: str
    was: str
    """`waiting` or `running`."""
    worker: str = ""


class PurgeQueue(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Call everything off that waits in a pool, or in one class of it; each client is told so."""

    pool: str
    author: str
    service_class: ServiceClass | None = None


class QueuePurged(msgspec.Struct, frozen=True):
    """How much was called off."""

    requests: int


MAX_WAIT_S: Final = 20.0
"""How long `worker_drain` waits at most."""
OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "worker_list": (FindWorkers, WorkerPage),
    "worker_show": (WorkerRef, WorkerStatus),
    "worker_cordon": (CordonWorker, WorkerChanged),
    "worker_uncordon": (UncordonWorker, WorkerChanged),
    "worker_drain": (DrainWorker, WorkerChanged),
    "queue_list": (FindQueues, PoolPage),
    "request_list": (FindRequests, RequestPage),
    "request_cancel": (CancelRequest, RequestCancelled),
    "queue_purge": (PurgeQueue, QueuePurged),
}
