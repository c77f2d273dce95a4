"""Messages of data sets: what selects their rows, and the jobs that build them."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from libs.contracts.calls import Empty


class Shape(StrEnum):
    """What a data set is for, and so what its rows look like."""

    SFT = "sft"
    """`messages` ending in the answer to learn; `demonstration` where a person wrote it."""
    PREFERENCE = "preference"
    """`prompt`, `chosen`, `rejected`; `demonstration` where a person wrote the chosen one."""
    KTO = "kto"
    """`prompt`, `completion`, `label`; `demonstration` where a person wrote it."""
    EVALUATION = "evaluation"
    """`messages` and `reference`."""
    RAW = "raw"
    """The interaction and its signals."""


class Quarantine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What keeps a few raters from deciding what the model learns."""

    enabled: bool = True
    max_rater_share: float = 0.02
    """Of all rows; beyond it a rater's newest rows stay out. Trusted raters are exempt."""
    min_raters_for_share: int = 20
    """With fewer raters than this a share says nothing, and `max_rater_rows` alone holds."""
    max_rater_rows: int = 0
    """Per rater; 0 is no bound."""
    max_burst_per_min: int = 30
    """Signals of one rater in one minute; beyond it all of that minute stay out."""
    similarity: float = 0.9
    """Demonstrations of one rater more alike than this (MinHash Jaccard) count as one."""
    trusted_raters: tuple[str, ...] = ()


class Selection(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declares a data set: the same selection over the same rows gives the same bytes."""

    name: str
    """Of the data set in the registry."""
    shape: Shape
    tenant: str
    since_ms: int = 0
    until_ms: int = 0
    """0: the time of the build, which the manifest then states."""
    model_versions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    raters: tuple[str, ...] = ()
    min_score: float = 0.5
    """A score of at least this counts as a thumb up."""
    include_implicit: bool = False
    min_answer_chars: int = 1
    max_answer_chars: int = 32_768
    near_duplicates: float = 0.85
    """MinHash Jaccard from which two rows count as one; 0 keeps near duplicates."""
    redact: bool = True
    splits: dict[str, float] = msgspec.field(default_factory=lambda: {"train": 0.9, "test": 0.1})
    """Shares; an episode is never divided."""
    seed: int = 0
    quarantine: Quarantine = Quarantine()


class DeclaredQuarantine(Quarantine, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredSelection(Selection, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    tenant: str = ""
    """Empty: the project of the key; for a key of the platform the first project, `default`."""
    quarantine: DeclaredQuarantine = DeclaredQuarantine()


class BuildDataset(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Build, and publish unless `dry_run`; a repeat with the same `id` gives the same build."""

    selection: Selection
    author: str
    dry_run: bool = False
    id: str = ""
    """`job_<24 hex>`; empty: a fresh one."""
    tenant: str = ""
    """Who orders it: it may publish under names of its own only; empty: the platform."""


class DatasetJob(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A build and how far it is."""

    id: str
    state: Literal["queued", "running", "publishing", "succeeded", "failed", "cancelled"]
    selection: Selection
    author: str
    created_ms: int
    rows_read: int = 0
    rows_total: int = 0
    counts: dict[str, int] = {}
    """Rows left after each step, in order."""
    reference: str = ""
    """Of the published version."""
    digest: str = ""
    error: str = ""


class JobId(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which job."""

    id: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class ListJobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """Newest first."""

    limit: int = 100
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class JobList(msgspec.Struct, frozen=True):
    """Builds."""

    jobs: tuple[DatasetJob, ...]


class DatasetBuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A data set was published."""

    id: str
    time_ms: int
    job: DatasetJob


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "dataset_build": (BuildDataset, DatasetJob),
    "dataset_show": (JobId, DatasetJob),
    "dataset_list": (ListJobs, JobList),
    "dataset_cancel": (JobId, Empty),
}
"""Part of those of feedback, which carries them out."""
