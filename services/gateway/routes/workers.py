"""Endpoints for workers; the tag of one is the revision of its cordon, 0 where there has never been one."""

from typing import Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.scheduling import (
    CordonWorker,
    DrainWorker,
    FindWorkers,
    UncordonWorker,
    WorkerChanged,
    WorkerRef,
)
from services.gateway.routes.endpoints import Asked, Endpoint, revision_of


class WorkerFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workers."""

    pool: str = ""
    after: str = ""
    limit: int = 100


class NewCordon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: str = ""


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and for how long the answer may wait until nothing runs there; 20 seconds at most."""

    reason: str = ""
    wait_s: float = 0.0


def _cordon(asked: Asked) -> CordonWorker:
    expected = revision_of(asked)
    return CordonWorker(id=asked.path["id"], author=asked.author, reason=asked.body.reason, expected_revision=expected)


def _uncordon(asked: Asked) -> UncordonWorker:
    return UncordonWorker(id=asked.path["id"], author=asked.author, expected_revision=revision_of(asked))


def _drain(asked: Asked) -> DrainWorker:
    body: Drain = asked.body
    return DrainWorker(id=asked.path["id"], author=asked.author, reason=body.reason, wait_s=body.wait_s)


def _tag(changed: WorkerChanged) -> str:
    return str(changed.worker.revision if changed.worker is not None else 0)


ENDPOINTS: Final = (
    Endpoint(
        service="scheduler",
        method="GET",
        path="/workers",
        permission=Permission.WORKERS_READ,
        operation="worker_list",
        summary="Workers by id, and cordons of which no worker is alive; `next` of one page is `after` of the next.",
        query=WorkerFilter,
        call=lambda asked: FindWorkers(pool=asked.query.pool, after=asked.query.after, limit=asked.query.limit),
    ),
    Endpoint(
        service="scheduler",
        method="GET",
        path="/workers/{id}",
        permission=Permission.WORKERS_READ,
        operation="worker_show",
        summary="One worker, by its id or its name, and the ids of what it runs.",
        call=lambda asked: WorkerRef(asked.path["id"]),
        tag=lambda worker: str(worker.revision),
    ),
    Endpoint(
        service="scheduler",
        method="PUT",
        path="/workers/{id}/cordon",
        permission=Permission.WORKERS_WRITE,
        operation="worker_cordon",
        summary="Give a worker no new work; what runs there goes on. Holds for the next process of its name, too.",
        body=NewCordon,
        call=_cordon,
        tag=_tag,
        conditional=True,
    ),
    Endpoint(
        service="scheduler",
        method="DELETE",
        path="/workers/{id}/cordon",
        permission=Permission.WORKERS_WRITE,
        operation="worker_uncordon",
        summary="Give a worker, or the next one of its name, work again.",
        call=_uncordon,
        tag=_tag,
        conditional=True,
    ),
    Endpoint(
        service="scheduler",
        method="POST",
        path="/workers/{id}/drain",
        permission=Permission.WORKERS_WRITE,
        operation="worker_drain",
        summary="Cordon a worker and say whether it is idle; to be repeated until it is.",
        body=Drain,
        call=_drain,
        tag=_tag,
    ),
)
