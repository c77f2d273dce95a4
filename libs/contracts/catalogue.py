"""The catalogue of everything said on the bus; `python -m libs.contracts.catalogue` prints architecture/messages.md."""

from dataclasses import dataclass
from typing import Final

import msgspec

from libs.contracts import calls, datasets, evaluation, feedback, inference, registry, rollouts, subjects, training
from libs.contracts.topology import (
    CMD_FEEDBACK,
    CMD_INFERENCE,
    EVT_CONTENT,
    EVT_FEEDBACK,
    EVT_INFERENCE,
    EVT_REGISTRY,
    EVT_ROLLOUT,
    EVT_TRAINER,
    Stream,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One kind of message: where it is said, what it is, by whom and to whom."""

    subject: str
    message: type | None
    """None where the payload is not ours to type: a client's body, a frame, the server's own news."""
    payload: str = ""
    """What the payload is, where `message` is None."""
    said_by: tuple[str, ...]
    heard_by: tuple[str, ...]
    stream: Stream | None = None


CATALOGUE: Final = (
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
        heard_by=("provisioner", "feedback"),
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
        said_by=("scheduler",),
        heard_by=("inference",),
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
        payload="a frame (libs.contracts.frames); JetStream's publish acknowledgement",
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
    Entry(
        subject=subjects.registry_call("<operation>"),
        message=None,
        payload="the operation's request; answered with a Reply (see Registry operations)",
        said_by=("gateway", "feedback", "trainer", "rollout", "provisioner"),
        heard_by=("registry",),
    ),
    Entry(
        subject=subjects.registry_call("version_fetch"),
        message=registry.FetchVersion,
        said_by=("inference",),
        heard_by=("registry",),
    ),
    Entry(
        subject=subjects.call_inbox("gateway", "<token>"),
        message=calls.Reply,
        said_by=("registry", "feedback", "trainer", "rollout"),
        heard_by=("gateway",),
    ),
    Entry(
        subject=subjects.call_inbox("inference", "<token>"),
        message=calls.Reply,
        said_by=("registry",),
        heard_by=("inference",),
    ),
    Entry(
        subject=subjects.reload("<worker>"),
        message=None,
        payload="empty: finish what runs, then start again with the base that the pool is to serve",
        said_by=("registry",),
        heard_by=("inference",),
    ),
    Entry(
        subject=subjects.deployment("<pool>"),
        message=registry.Deployment,
        said_by=("registry",),
        heard_by=("inference",),
    ),
    Entry(
        subject=subjects.VERSION_PUBLISHED,
        message=registry.VersionPublished,
        said_by=("registry",),
        heard_by=("provisioner",),
        stream=EVT_REGISTRY,
    ),
    Entry(
        subject=subjects.ALIAS_MOVED,
        message=registry.AliasMoved,
        said_by=("registry",),
        heard_by=("provisioner",),
        stream=EVT_REGISTRY,
    ),
    Entry(
        subject=subjects.DEPLOYMENT_CHANGED,
        message=registry.DeploymentChanged,
        said_by=("registry",),
        heard_by=("provisioner",),
        stream=EVT_REGISTRY,
    ),
    Entry(
        subject=subjects.CAPTURED,
        message=feedback.Captured,
        said_by=("gateway",),
        heard_by=("feedback",),
        stream=EVT_CONTENT,
    ),
    Entry(
        subject=subjects.RECORD_SIGNAL,
        message=feedback.RecordSignal,
        said_by=("gateway",),
        heard_by=("feedback",),
        stream=CMD_FEEDBACK,
    ),
    Entry(
        subject=subjects.SIGNAL_RECORDED,
        message=feedback.SignalRecorded,
        said_by=("feedback",),
        heard_by=("rollout", "provisioner"),
        stream=EVT_FEEDBACK,
    ),
    Entry(
        subject=subjects.SIGNAL_REFUSED,
        message=feedback.SignalRefused,
        said_by=("feedback",),
        heard_by=("provisioner",),
        stream=EVT_FEEDBACK,
    ),
    Entry(
        subject=subjects.STATISTICS_UPDATED,
        message=feedback.StatisticsUpdated,
        said_by=("feedback",),
        heard_by=("provisioner",),
        stream=EVT_FEEDBACK,
    ),
    Entry(
        subject=subjects.DATASET_BUILT,
        message=datasets.DatasetBuilt,
        said_by=("feedback",),
        heard_by=("provisioner",),
        stream=EVT_FEEDBACK,
    ),
    Entry(
        subject=subjects.feedback_call("<operation>"),
        message=None,
        payload="the operation's request; answered with a Reply (see Feedback operations)",
        said_by=("gateway", "rollout", "provisioner"),
        heard_by=("feedback",),
    ),
    Entry(
        subject=subjects.JOB_CHANGED,
        message=training.JobChanged,
        said_by=("trainer",),
        heard_by=("trainer", "provisioner"),
        stream=EVT_TRAINER,
    ),
    Entry(
        subject=subjects.job_progress("<job>"),
        message=training.JobProgressed,
        said_by=("trainer",),
        heard_by=("provisioner",),
    ),
    Entry(
        subject=subjects.trainer_call("<operation>"),
        message=None,
        payload="the operation's request; answered with a Reply (see Trainer operations)",
        said_by=("gateway", "rollout", "provisioner"),
        heard_by=("trainer",),
    ),
    Entry(
        subject=subjects.ROLLOUT_CHANGED,
        message=rollouts.RolloutChanged,
        said_by=("rollout",),
        heard_by=("provisioner",),
        stream=EVT_ROLLOUT,
    ),
    Entry(
        subject=subjects.TURN_CHANGED,
        message=rollouts.TurnChanged,
        said_by=("rollout",),
        heard_by=("provisioner",),
        stream=EVT_ROLLOUT,
    ),
    Entry(
        subject=subjects.SPLITS,
        message=rollouts.Splits,
        said_by=("rollout",),
        heard_by=("gateway", "provisioner"),
    ),
    Entry(
        subject=subjects.rollout_call("<operation>"),
        message=None,
        payload="the operation's request; answered with a Reply (see Rollout operations)",
        said_by=("gateway", "provisioner"),
        heard_by=("rollout",),
    ),
)

STRUCTS: Final[tuple[type[msgspec.Struct], ...]] = (
    inference.Envelope,
    inference.FrameMeta,
    inference.Usage,
    inference.Handover,
    inference.WorkerBeat,
    inference.ServedModel,
    inference.Running,
    inference.Released,
    inference.Cancel,
    inference.GatewayBeat,
    inference.WorkerLost,
    inference.RequestCompleted,
    *(struct for pair in registry.OPERATIONS.values() for struct in pair),
    calls.Reply,
    calls.Fault,
    registry.Manifest,
    registry.ManifestFile,
    registry.Blob,
    registry.Lineage,
    registry.BlobUpload,
    registry.BlobDownload,
    registry.Deployment,
    registry.DeployedVersion,
    registry.WorkerStatus,
    registry.VersionPublished,
    registry.AliasMoved,
    registry.DeploymentChanged,
    *(struct for pair in feedback.OPERATIONS.values() for struct in pair),
    feedback.Captured,
    datasets.Selection,
    datasets.Quarantine,
    feedback.StatisticsRow,
    feedback.DeadLetter,
    feedback.SignalRecorded,
    feedback.SignalRefused,
    feedback.StatisticsUpdated,
    datasets.DatasetBuilt,
    *(struct for pair in training.OPERATIONS.values() for struct in pair),
    training.TrainingPlan,
    training.Recipe,
    training.JobProgress,
    training.LogLine,
    training.JobChanged,
    training.JobProgressed,
    evaluation.EvaluationPlan,
    evaluation.Task,
    evaluation.Judge,
    evaluation.Gate,
    evaluation.Rule,
    evaluation.Verdict,
    evaluation.Finding,
    rollouts.RequestObserved,
    rollouts.Splits,
    rollouts.Split,
    *(struct for pair in rollouts.OPERATIONS.values() for struct in pair),
    rollouts.RolloutPlan,
    rollouts.Step,
    rollouts.Margin,
    rollouts.RolloutChange,
    rollouts.Decision,
    rollouts.Found,
    rollouts.RolloutChanged,
    rollouts.Loop,
    rollouts.Trigger,
    rollouts.Budget,
    rollouts.TurnChanged,
)


if __name__ == "__main__":
    from libs.contracts.catalogue_page import render

    print(render(), end="")  # noqa: T201 - the page is this command's output
