"""One sample of every message between operators and schedulers, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import scheduling as s
from libs.contracts.inference import ServiceClass

CORDON: Final = s.Cordon(pool="default", name="worker-0", author="ops", since_ms=1, reason="it is hot")
WORKER: Final = s.WorkerStatus(
    id="w1",
    name="worker-0",
    pool="default",
    state="ready",
    open=True,
    capacity=16,
    running=3,
    credits=13,
    beat_age_ms=4,
    models=("helpdesk",),
    adapters=("helpdesk@candidate",),
    base="helpdesk@sha256:aaaaaaaaaaaa",
    engine="vllm 0.32.0 (cpu)",
    generation=5,
    missing=("helpdesk@sha256:bbbbbbbbbbbb",),
    error="no room",
    requests=("r1",),
    cordon=CORDON,
    revision=6,
)
QUEUE: Final = s.QueueStatus(pool="default", service_class=ServiceClass.BATCH, depth=7, oldest_ms=8)
POOL: Final = s.PoolStatus(pool="default", workers=2, open=1, capacity=32, running=3, waiting=7, queues=(QUEUE,))
WAITING: Final = s.WaitingRequest(
    id="r1",
    place=9,
    tenant="shop",
    model="helpdesk",
    route="/v1/chat/completions",
    service_class=ServiceClass.STANDARD,
    waited_ms=10,
    left_ms=11,
    size_bytes=12,
    retry=1,
    stream=True,
)

SCHEDULING_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "Cordon": CORDON,
    "WorkerStatus": WORKER,
    "FindWorkers": s.FindWorkers(pool="default", after="w0", limit=2),
    "WorkerPage": s.WorkerPage((WORKER,), (CORDON,), "w1"),
    "WorkerRef": s.WorkerRef("w1"),
    "CordonWorker": s.CordonWorker(id="w1", author="ops", reason="it is hot", expected_revision=6),
    "DrainWorker": s.DrainWorker(id="w1", author="ops", reason="it is hot", wait_s=1.5),
    "UncordonWorker": s.UncordonWorker(id="w1", author="ops", expected_revision=6),
    "WorkerChanged": s.WorkerChanged(worker=WORKER, idle=True, left=1, warning="none left"),
    "FindQueues": s.FindQueues("default"),
    "QueueStatus": QUEUE,
    "PoolStatus": POOL,
    "PoolPage": s.PoolPage((POOL,)),
    "FindRequests": s.FindRequests(pool="default", service_class=ServiceClass.BATCH, after=8, limit=2),
    "WaitingRequest": WAITING,
    "RequestPage": s.RequestPage((WAITING,), 9),
    "CancelRequest": s.CancelRequest("r1", "ops"),
    "RequestCancelled": s.RequestCancelled(id="r1", was="running", worker="w1"),
    "PurgeQueue": s.PurgeQueue(pool="default", author="ops", service_class=ServiceClass.BATCH),
    "QueuePurged": s.QueuePurged(300),
}
