"""The admin API of workers and queues, and the command line's way through it: each endpoint is one call on the bus."""

from typing import Any

import msgspec
import pytest

from cli.operations.rest import RestScheduler
from libs.contracts.calls import Fault
from libs.contracts.inference import ServiceClass
from libs.contracts.scheduling import (
    OPERATIONS,
    CancelRequest,
    CordonWorker,
    DrainWorker,
    FindQueues,
    FindRequests,
    FindWorkers,
    PoolPage,
    PurgeQueue,
    QueuePurged,
    RequestCancelled,
    RequestPage,
    UncordonWorker,
    WorkerChanged,
    WorkerPage,
    WorkerRef,
)
from libs.kit.errors import ServiceError
from libs.testkit.front import Front
from services.gateway.routes.api import ENDPOINTS
from tests.contract.scheduling_samples import CORDON, POOL, WAITING, WORKER
from tests.integration.gateway.admin_scene import ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE = "scheduler"
CLIENT = RestScheduler
CHANGED = WorkerChanged(worker=WORKER, idle=True, left=1)
GOOD: dict[str, msgspec.Struct] = {
    "worker_list": WorkerPage((WORKER,), (CORDON,), "w1"),
    "worker_show": WORKER,
    "worker_cordon": CHANGED,
    "worker_uncordon": CHANGED,
    "worker_drain": CHANGED,
    "queue_list": PoolPage((POOL,)),
    "request_list": RequestPage((WAITING,), 9),
    "request_cancel": RequestCancelled(id="r1", was="running", worker="w1"),
    "queue_purge": QueuePurged(3),
}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


FORWARDED = [
    ("GET", "/workers?pool=default&after=w0&limit=5", None, 200, "worker_list",
     FindWorkers(pool="default", after="w0", limit=5)),
    ("GET", "/workers/w1", None, 200, "worker_show", WorkerRef("w1")),
    ("PUT", "/workers/w1/cordon", {"reason": "hot"}, 200, "worker_cordon",
     CordonWorker(id="w1", author="ops", reason="hot")),
    ("DELETE", "/workers/w1/cordon", None, 200, "worker_uncordon", UncordonWorker(id="w1", author="ops")),
    ("POST", "/workers/w1/drain", {"wait_s": 3}, 200, "worker_drain", DrainWorker(id="w1", author="ops", wait_s=3.0)),
    ("GET", "/queues", None, 200, "queue_list", FindQueues()),
    ("GET", "/queues/default/requests?service_class=batch&after=4&limit=5", None, 200, "request_list",
     FindRequests(pool="default", service_class=ServiceClass.BATCH, after=4, limit=5)),
    ("DELETE", "/queues/default/requests", None, 200, "queue_purge", PurgeQueue(pool="default", author="ops")),
    ("DELETE", "/requests/r1", None, 200, "request_cancel", CancelRequest("r1", "ops")),
]  # fmt: skip


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, behind: ServiceDouble) -> None:
    await check_forwarded(front, behind, FORWARDED)
    one = await ask(front, "GET", "/queues/default")
    assert msgspec.convert(one.json(), type(POOL)) == POOL


def test_every_operation_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "scheduler"}
    assert offered == set(OPERATIONS) == {line[4] for line in FORWARDED}


MISTYPED = [
    ("GET", "/workers?state=x", None, "unknown_parameter", "state"),
    ("PUT", "/workers/w1/cordon", {"author": "me"}, "unknown_parameter", "author"),
    ("POST", "/workers/w1/drain", {"wait_s": "long"}, "invalid_value", "wait_s"),
    ("GET", "/queues/default/requests?service_class=soon", None, "invalid_value", "service_class"),
    ("DELETE", "/queues/default/requests?class=batch", None, "unknown_parameter", "class"),
]


async def test_what_is_mistyped_goes_no_further(front: Front, behind: ServiceDouble) -> None:
    await check_refused(front, behind, MISTYPED)


async def test_a_condition_is_passed_on_and_the_tag_is_the_revision_of_the_cordon(
    front: Front, behind: ServiceDouble
) -> None:
    shown = await ask(front, "GET", "/workers/w1")
    assert shown.headers["etag"] == '"6"'
    await ask(front, "PUT", "/workers/w1/cordon", {}, if_match='"6"')
    assert behind.asked[-1][1].expected_revision == 6
    behind.answers["worker_uncordon"] = Fault("conflict", "Somebody else has changed it.")
    refused = await ask(front, "DELETE", "/workers/w1/cordon", if_match='"5"')
    assert (refused.status_code, refused.json()["code"]) == (412, "conflict")


async def test_without_a_scheduler_it_says_so(front: Front) -> None:
    answer = await ask(front, "GET", "/queues")
    assert (answer.status_code, answer.json()["code"]) == (503, "scheduler_unavailable")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [(line[4], line[5]) for line in FORWARDED]
    + [
        ("worker_cordon", CordonWorker(id="w1", author="ops", expected_revision=6)),
        ("worker_uncordon", UncordonWorker(id="w1", author="ops", expected_revision=6)),
        ("queue_purge", PurgeQueue(pool="default", author="ops", service_class=ServiceClass.REALTIME)),
    ],
)
async def test_what_the_command_line_means_arrives(
    behind: ServiceDouble, client: RestScheduler, operation: str, request_: msgspec.Struct
) -> None:
    assert await client.call(operation, request_) == GOOD[operation]
    assert behind.asked == [(operation, request_)]


async def test_a_fault_reaches_the_command_line(behind: ServiceDouble, client: RestScheduler) -> None:
    behind.answers["worker_show"] = Fault("not_found", "There is no worker `w9`.")
    with pytest.raises(ServiceError, match="no worker `w9`") as raised:
        await client.call("worker_show", WorkerRef("w9"))
    assert raised.value.code == "not_found"
