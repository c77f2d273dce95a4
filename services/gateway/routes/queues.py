"""Endpoints for what waits: how much, which requests, and calling them off. Nothing here shows words."""

from typing import Final

import msgspec

from libs.contracts.inference import ServiceClass
from libs.contracts.permissions import Permission
from libs.contracts.scheduling import CancelRequest, FindQueues, FindRequests, PoolPage, PoolStatus, PurgeQueue
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint

_MAX_SHOWN: Final = 80


class RequestFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests of a pool."""

    service_class: ServiceClass | None = None
    after: int = 0
    limit: int = 100


class ClassFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which class of a pool; every one where it is left out."""

    service_class: ServiceClass | None = None


def _requests(asked: Asked) -> FindRequests:
    wanted: RequestFilter = asked.query
    return FindRequests(
        pool=asked.path["pool"], service_class=wanted.service_class, after=wanted.after, limit=wanted.limit
    )


def _one(asked: Asked, page: PoolPage) -> PoolStatus:
    for pool in page.pools:
        if pool.pool == asked.path["pool"]:
            return pool
    raise ServiceError("not_found", f"There is no pool `{asked.path['pool'][:_MAX_SHOWN]}`.")


def _purge(asked: Asked) -> PurgeQueue:
    return PurgeQueue(pool=asked.path["pool"], author=asked.author, service_class=asked.query.service_class)


ENDPOINTS: Final = (
    Endpoint(
        service="scheduler",
        method="GET",
        path="/queues",
        permission=Permission.QUEUES_READ,
        operation="queue_list",
        summary="Every pool: its workers, and how much waits in each class and for how long.",
        call=lambda _: FindQueues(),
    ),
    Endpoint(
        service="scheduler",
        method="GET",
        path="/queues/{pool}",
        permission=Permission.QUEUES_READ,
        operation="queue_list",
        summary="One pool: its workers, and how much waits in each class and for how long.",
        call=lambda asked: FindQueues(asked.path["pool"]),
        select=_one,
        answer=PoolStatus,
    ),
    Endpoint(
        service="scheduler",
        method="GET",
        path="/queues/{pool}/requests",
        permission=Permission.QUEUES_READ,
        operation="request_list",
        summary="What waits, oldest first; `next` of one page is `after` of the following one.",
        query=RequestFilter,
        call=_requests,
    ),
    Endpoint(
        service="scheduler",
        method="DELETE",
        path="/queues/{pool}/requests",
        permission=Permission.QUEUES_WRITE,
        operation="queue_purge",
        summary="Call off what waits now, in all classes or one; every client is told `cancelled_by_operator`.",
        query=ClassFilter,
        call=_purge,
    ),
    Endpoint(
        service="scheduler",
        method="DELETE",
        path="/requests/{id}",
        permission=Permission.QUEUES_WRITE,
        operation="request_cancel",
        summary="Call one request off, whether it waits or runs; its client is told `cancelled_by_operator`.",
        call=lambda asked: CancelRequest(asked.path["id"], asked.author),
    ),
)
