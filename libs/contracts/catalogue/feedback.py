"""What is said of answers and their judgements."""

from typing import Final

from libs.contracts import datasets, feedback, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import CMD_FEEDBACK, EVT_CONTENT, EVT_FEEDBACK

FEEDBACK: Final = Chapter(
    owner="feedback",
    operations=feedback.OPERATIONS,
    entries=(
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
            heard_by=("rollout", "provisioner", "events"),
            stream=EVT_FEEDBACK,
        ),
        Entry(
            subject=subjects.SIGNAL_REFUSED,
            message=feedback.SignalRefused,
            said_by=("feedback",),
            heard_by=("provisioner", "events"),
            stream=EVT_FEEDBACK,
        ),
        Entry(
            subject=subjects.STATISTICS_UPDATED,
            message=feedback.StatisticsUpdated,
            said_by=("feedback",),
            heard_by=("provisioner", "events"),
            stream=EVT_FEEDBACK,
        ),
        Entry(
            subject=subjects.DATASET_BUILT,
            message=datasets.DatasetBuilt,
            said_by=("feedback",),
            heard_by=("provisioner", "events"),
            stream=EVT_FEEDBACK,
        ),
        calls_of("feedback", subjects.feedback_call, said_by=("gateway", "rollout", "provisioner")),
    ),
    structs=(
        *structs_of(feedback.OPERATIONS),
        feedback.Captured,
        datasets.Selection,
        datasets.Quarantine,
        feedback.StatisticsRow,
        feedback.DeadLetter,
        feedback.SignalRecorded,
        feedback.SignalRefused,
        feedback.StatisticsUpdated,
        datasets.DatasetBuilt,
    ),
)
