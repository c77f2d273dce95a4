"""What is said of training and evaluation jobs."""

from typing import Final

from libs.contracts import evaluation, subjects, training
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import EVT_TRAINER

TRAINER: Final = Chapter(
    owner="trainer",
    operations=training.OPERATIONS,
    entries=(
        Entry(
            subject=subjects.JOB_CHANGED,
            message=training.JobChanged,
            said_by=("trainer",),
            heard_by=("trainer", "provisioner", "events"),
            stream=EVT_TRAINER,
        ),
        Entry(
            subject=subjects.job_progress("<job>"),
            message=training.JobProgressed,
            said_by=("trainer",),
            heard_by=("provisioner",),
        ),
        calls_of("trainer", subjects.trainer_call, said_by=("gateway", "rollout", "provisioner")),
    ),
    structs=(
        *structs_of(training.OPERATIONS),
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
    ),
)
