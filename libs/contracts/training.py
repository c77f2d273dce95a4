"""Messages of the trainer: jobs that make a version out of a data set, and jobs that measure one against another.

A *job* is a row in the trainer's database and nothing else: no message is held while it runs. Calls go to
`subjects.trainer_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
"""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.evaluation import DeclaredEvaluationPlan, EvaluationPlan, Verdict


class Method(StrEnum):
    """How the weights are taught."""

    AUTO = "auto"
    """Decided by what the data set has; the job says which it became."""
    SFT = "sft"
    """Supervised: up-rated answers and demonstrations are imitated."""
    DPO = "dpo"
    """Direct preference optimisation with an SFT term (arXiv:2305.18290): pairs of a better and a worse answer."""
    KTO = "kto"
    """Kahneman-Tversky optimisation (arXiv:2402.01306): single answers with a thumb up or down."""
    PRETRAIN = "pretrain"
    """Plain text: from scratch where the plan names no base, else continued."""


class Precision(StrEnum):
    """Of the forward and backward pass; weights are kept as the optimiser needs them."""

    AUTO = "auto"
    """bfloat16 on a GPU that has it, else float32."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything beside base and data that decides the weights; zeros and None mean the method's own choice."""

    method: Method = Method.AUTO
    full: bool = False
    """Teach all weights and publish a model; else a LoRA adapter (arXiv:2106.09685)."""
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 0.0
    steps: int = 0
    """Optimiser steps."""
    batch_rows: int = 16
    """Rows per optimiser step and device."""
    accumulation: int = 1
    """Parts in which such a batch goes through the model, for less memory."""
    max_tokens: int = 1_024
    """Longer rows are cut at their beginning, or left out where the answer would be cut."""
    packing: bool = False
    """Join rows up to `max_tokens`, so that nothing is padding."""
    precision: Precision = Precision.AUTO
    demonstration_weight: int = 2
    """How often a demonstration counts against an up-rated answer."""
    replay: str = ""
    """Reference of a data set of shape sft that is mixed in, so that what was good is not forgotten."""
    replay_share: float = 0.0
    """Of every batch, from 0 to below 1."""
    sft_weight: float | None = None
    """Of the SFT term beside a DPO or KTO loss."""
    beta: float | None = None
    """How closely DPO and KTO stay to the base."""
    seed: int = 0
    checkpoint_steps: int = 50
    threads: int = 1
    """Of the CPU; training yields to serving."""
    devices: int = 1
    """GPUs, through torchrun if more than one; ignored where there is none."""


class DeclaredRecipe(Recipe, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class TrainingPlan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declares a version to be made."""

    name: str
    """Of the model that is served under it; the new version gets this name and no alias."""
    dataset: str
    """Any reference to a version of kind dataset; splits are files `<split>.jsonl` in it."""
    base: str = ""
    """Any reference to a version of kind model; empty only for pretraining from scratch."""
    split: str = "train"
    recipe: Recipe = Recipe()
    evaluation: EvaluationPlan | None = None
    """Measure the result; its `candidate` is filled in."""
    licence: str = ""


class DeclaredTrainingPlan(TrainingPlan, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    recipe: DeclaredRecipe = DeclaredRecipe()
    evaluation: DeclaredEvaluationPlan | None = None


class JobKind(StrEnum):
    """What a job does."""

    TRAINING = "training"
    EVALUATION = "evaluation"


class JobState(StrEnum):
    """How far a job is; `TRANSITIONS` says what may follow what."""

    QUEUED = "queued"
    PAUSED = "paused"
    """Nobody may claim it until it is resumed; a checkpoint keeps what was done."""
    CLAIMED = "claimed"
    """A trainer has it and fetches what it needs."""
    RUNNING = "running"
    PUBLISHING = "publishing"
    EVALUATING = "evaluating"
    """A training's result is published, and a job of its own measures it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset({JobState.CLAIMED, JobState.PAUSED, JobState.CANCELLED}),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.CLAIMED: frozenset(
        {JobState.RUNNING, JobState.QUEUED, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.PUBLISHING, JobState.QUEUED, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PUBLISHING: frozenset(
        {JobState.EVALUATING, JobState.SUCCEEDED, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.EVALUATING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""Back to queued: the trainer that had it is gone or was asked to stop; another goes on from the last checkpoint."""


class JobProgress(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a job is; for an evaluation `step` counts answers."""

    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_s: float = 0.0
    eta_s: float | None = None
    note: str = ""
    """What it does, for people."""
    checkpoint_step: int = 0
    """What would be kept if it were killed now."""


class Job(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One job as lists show it."""

    id: str
    """`job_<24 hex>`."""
    kind: JobKind
    state: JobState
    author: str
    created_ms: int
    changed_ms: int
    training: TrainingPlan | None = None
    evaluation: EvaluationPlan | None = None
    """The plan, its references made exact when the job was ordered; one of the two is set."""
    parent: str = ""
    """The training that an evaluation belongs to."""
    epoch: int = 0
    """Counts the claims; what an earlier one writes is refused."""
    trainer: str = ""
    """Instance that has it."""
    progress: JobProgress = JobProgress()
    method: str = ""
    """What `auto` became."""
    version: str = ""
    """Reference of the version that was made."""
    report: str = ""
    """Reference of the report."""
    verdict: Verdict | None = None
    metrics: dict[str, float] = {}
    error_code: str = ""
    error: str = ""
    tenant: str = ""
    """Whose it is; empty: the platform's."""


class OrderTraining(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Queue a training; a repeat with the same `id` gives the same job."""

    plan: TrainingPlan
    author: str
    id: str = ""
    """`job_<24 hex>`; empty: a fresh one."""
    tenant: str = ""
    """Who orders it, and whose it is; empty: the platform."""


class OrderEvaluation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Queue an evaluation; a repeat with the same `id` gives the same job."""

    plan: EvaluationPlan
    author: str
    id: str = ""
    parent: str = ""
    tenant: str = ""
    """Who orders it, and whose it is; empty: the platform."""


class JobRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which job."""

    id: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class FindJobs(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    state: JobState | None = None
    kind: JobKind | None = None
    before: str = ""
    """`next` of the page before."""
    limit: int = 100
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class JobPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    jobs: tuple[Job, ...]
    next: str = ""


class ReadLog(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Lines of a job's log."""

    id: str
    after: int = 0
    """Number of the last line seen."""
    limit: int = 1_000
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class LogLine(msgspec.Struct, frozen=True):
    """One line."""

    number: int
    time_ms: int
    epoch: int
    text: str


class JobLog(msgspec.Struct, frozen=True):
    """Lines, oldest first."""

    lines: tuple[LogLine, ...]


class JobChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A job came into a state; said once per change, from the outbox."""

    id: str
    time_ms: int
    job: Job


class JobProgressed(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is, at most once a second; core NATS, for whoever looks on."""

    job: str
    time_ms: int
    epoch: int
    progress: JobProgress


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "training_order": (OrderTraining, Job),
    "evaluation_order": (OrderEvaluation, Job),
    "job_list": (FindJobs, JobPage),
    "job_show": (JobRef, Job),
    "job_log": (ReadLog, JobLog),
    "job_pause": (JobRef, Job),
    "job_resume": (JobRef, Job),
    "job_cancel": (JobRef, Job),
}
