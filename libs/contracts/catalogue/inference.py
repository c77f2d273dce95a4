"""A request on its way: from the gateway, over the scheduler if anything waits, to a worker, and back."""

from typing import Final

from libs.contracts import inference, rollouts, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry
from libs.contracts.topology import CMD_INFERENCE, EVT_INFERENCE

INFERENCE: Final = Chapter(
    owner="inference",
    entries=(
        Entry(
            subject=f"{subjects.SUBMIT_PREFIX}.<pool>.<class>",
            message=None,
            payload="the client's body, unchanged; header `Llmos-Envelope`: Envelope",
            said_by=("gateway", "scheduler"),
            heard_by=("scheduler",),
            stream=CMD_INFERENCE,
        ),
        Entry(
            subject=subjects.express("<pool>"),
            message=None,
            payload="as above: to be handed over at once, or put into the stream by the scheduler",
            said_by=("gateway",),
            heard_by=("scheduler",),
        ),
        Entry(
            subject=subjects.COMPLETED,
            message=inference.RequestCompleted,
            said_by=("gateway",),
            heard_by=("provisioner", "feedback", "events"),
            stream=EVT_INFERENCE,
        ),
        Entry(
            subject=subjects.OBSERVED,
            message=rollouts.RequestObserved,
            said_by=("gateway",),
            heard_by=("rollout", "provisioner"),
            stream=EVT_INFERENCE,
        ),
        Entry(
            subject=subjects.run("<worker>"),
            message=None,
            payload="the client's body; headers `Llmos-Envelope`: Envelope, `Llmos-Attempt`: number",
            said_by=("gateway", "scheduler"),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.direct("<pool>"),
            message=inference.DirectWorkers,
            said_by=("scheduler",),
            heard_by=("gateway",),
        ),
        Entry(
            subject=subjects.scheduler_reply("<instance>", "<token>"),
            message=inference.Handover,
            said_by=("inference",),
            heard_by=("scheduler",),
        ),
        Entry(
            subject=subjects.gateway_reply("<instance>", "<request>"),
            message=None,
            payload="a frame (libs.contracts.frames); JetStream's acknowledgement; a worker's refusal (Handover)",
            said_by=("inference", "scheduler"),
            heard_by=("gateway",),
        ),
        Entry(
            subject=subjects.gateway_frames("<instance>"),
            message=None,
            payload="frames of several requests (libs.contracts.frames.join)",
            said_by=("inference",),
            heard_by=("gateway",),
        ),
        Entry(
            subject=subjects.beat("<worker>"),
            message=inference.WorkerBeat,
            said_by=("inference",),
            heard_by=("scheduler", "gateway", "registry", "provisioner"),
        ),
        Entry(
            subject=subjects.released("<worker>"),
            message=inference.Released,
            said_by=("inference",),
            heard_by=("scheduler",),
        ),
        Entry(
            subject=subjects.REPORT,
            message=None,
            payload="empty: every worker beats at once",
            said_by=("scheduler", "gateway", "registry", "provisioner"),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.drain("<worker>"),
            message=None,
            payload="empty: finish what runs, take nothing new",
            said_by=("provisioner",),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.cancel("<request>"),
            message=inference.Cancel,
            said_by=("gateway", "scheduler"),
            heard_by=("scheduler", "inference"),
        ),
        Entry(
            subject=subjects.gateway_beat("<instance>"),
            message=inference.GatewayBeat,
            said_by=("gateway",),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.worker_lost("<instance>"),
            message=inference.WorkerLost,
            said_by=("scheduler",),
            heard_by=("gateway",),
        ),
        Entry(
            subject=subjects.SYS_DISCONNECTS,
            message=None,
            payload="nats-server's own event: a connection ended",
            said_by=("nats-server",),
            heard_by=("scheduler",),
        ),
    ),
    structs=(
        inference.Envelope,
        inference.FrameMeta,
        inference.Usage,
        inference.Handover,
        inference.DirectWorkers,
        inference.WorkerBeat,
        inference.ServedModel,
        inference.Running,
        inference.Released,
        inference.Cancel,
        inference.GatewayBeat,
        inference.WorkerLost,
        inference.RequestCompleted,
    ),
)
