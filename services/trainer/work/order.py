"""What is said between the trainer and a process that works for it.

The process is given directories and no secret but the key of an evaluation; it never speaks to the bus, the database or
S3. One line of JSON on its standard input is the order; standard input stays open as long as anybody waits, and its end
is the order to stop. SIGTERM asks it to write a checkpoint and end. Lines of JSON on standard output are its reports.
"""

import msgspec

from libs.contracts.evaluation import EvaluationPlan
from libs.contracts.training import JobProgress, Recipe


class Train(msgspec.Struct, frozen=True, tag="train", kw_only=True):
    """Make weights."""

    recipe: Recipe
    base: str
    """Directory of the base model in Hugging Face layout; empty: from scratch."""
    rows: str
    """JSONL file of the data set's split."""
    shape: str
    """Of the rows: `libs.contracts.datasets.Shape`, or `text` (rows with `text`)."""
    replay: str = ""
    """JSONL file of shape sft, or empty."""
    directory: str
    """The job's own: checkpoints go to `checkpoints/<step>/`, the result to `result/`."""
    name: str = ""
    """Of the model, for its card; so are the next three."""
    base_name: str = ""
    """Reference of the base; empty: the name of its directory."""
    dataset_name: str = ""
    """Reference of the data set."""
    licence: str = ""


class Evaluate(msgspec.Struct, frozen=True, tag="evaluate", kw_only=True):
    """Measure one served version against another."""

    plan: EvaluationPlan
    candidate: str
    """Model name under which the serving plane answers."""
    baseline: str
    tasks: dict[str, str]
    """Task name → file of its items."""
    seen: tuple[str, ...] = ()
    """JSONL files of what training saw."""
    base: str = ""
    """Directory of the base model, for perplexity; empty: perplexity is unknown."""
    candidate_weights: str = ""
    """Directory of the candidate: an adapter of `base`, or a model."""
    baseline_weights: str = ""
    """The same of the baseline; empty: the base itself."""
    url: str
    """Base URL of the serving plane, ending in `/v1`."""
    key: str
    tenant: str = ""
    """For whom models are asked."""
    directory: str
    """The report goes to `result/`: `report.json`, `report.html`, `answers.jsonl`, `README.md`."""


Order = Train | Evaluate


class Started(msgspec.Struct, frozen=True, tag="started", kw_only=True):
    """The order was understood and its input read."""

    method: str = ""
    rows: int
    steps: int
    resumed_step: int = 0


class Progressed(msgspec.Struct, frozen=True, tag="progressed", kw_only=True):
    """At most a few a second."""

    progress: JobProgress


class Said(msgspec.Struct, frozen=True, tag="said", kw_only=True):
    """A line for the job's log."""

    text: str


class Checkpointed(msgspec.Struct, frozen=True, tag="checkpointed", kw_only=True):
    """`checkpoints/<step>/` is whole: its manifest, written last, is there."""

    step: int


class Stopped(msgspec.Struct, frozen=True, tag="stopped", kw_only=True):
    """It was asked to stop; a checkpoint of `step` is there, unless that is 0."""

    step: int


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """`result/` is whole."""

    metrics: dict[str, float]


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """There will be no result."""

    code: str
    """Of `libs.contracts.errors`: `bad_dataset`, `incompatible_base`, `training_diverged`, `out_of_memory`,
    `disk_full`, `invalid_value` or, retryable, one of the serving plane's."""
    message: str


Report = Started | Progressed | Said | Checkpointed | Stopped | Done | Failed
