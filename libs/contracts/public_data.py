"""The data of public events: what others may hear of the platform. No words that people wrote are among it."""

import msgspec


class RequestCompletedData(msgspec.Struct, frozen=True, kw_only=True):
    """One request ended, well or not."""

    request_id: str
    client_request_id: str
    """`x-request-id` as the client saw it."""
    key_id: str
    route: str
    model: str
    model_version: str
    outcome: str
    """`ok`, `error` or `cancelled`."""
    status: int
    """HTTP status that the client received; 0 if none was sent."""
    error_code: str
    stream: bool
    service_class: str
    episode_id: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_ms: int
    first_byte_ms: int
    total_ms: int


class SignalRecordedData(msgspec.Struct, frozen=True, kw_only=True):
    """An answer was judged."""

    signal_id: str
    kind: str
    value: bool | float | None
    """None for a comment or a demonstration: the text is not said."""
    source: str
    request_id: str
    episode_id: str
    model_version: str
    rater: str
    tags: tuple[str, ...]
    supersedes: str


class SignalRefusedData(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement could not be recorded."""

    signal_id: str
    code: str
    reason: str


class StatisticsUpdatedData(msgspec.Struct, frozen=True, kw_only=True):
    """How one version is judged by now."""

    group: dict[str, str]
    interactions: int
    thumbs_up: int
    thumbs_down: int
    scores: int
    score_mean: float | None
    comments: int
    demonstrations: int
    approval: float | None
    approval_low: float | None
    approval_high: float | None


class DatasetBuiltData(msgspec.Struct, frozen=True, kw_only=True):
    """A data set was published."""

    dataset_id: str
    name: str
    reference: str
    digest: str
    counts: dict[str, int]
    """Rows left after each step."""


class JobChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """A training or an evaluation came into a state."""

    job_id: str
    kind: str
    state: str
    parent: str
    version: str
    report: str
    passed: bool | None
    """What the gate said; None before it has."""
    error_code: str


class VersionPublishedData(msgspec.Struct, frozen=True, kw_only=True):
    """A version became visible."""

    reference: str
    name: str
    kind: str
    number: int
    size_bytes: int
    base: str


class AliasMovedData(msgspec.Struct, frozen=True, kw_only=True):
    """An alias points somewhere else."""

    name: str
    alias: str
    digest: str
    """Empty: removed."""
    previous: str
    """Digest before; empty if there was none."""
    generation: int


class RolloutChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout came into a state or a step."""

    rollout_id: str
    name: str
    alias: str
    state: str
    step: int
    steps: int
    candidate: str
    baseline: str
    turn: str
    reason: str


class TurnChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of a loop came into a state."""

    turn_id: str
    loop: str
    number: int
    state: str
    dataset: str
    job: str
    version: str
    rollout: str
    reason: str


class DeploymentChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool is to serve changed."""

    pool: str
    generation: int
    revision: int
    base: str
    names: dict[str, str]
    """Every other name that is served, to the reference behind it."""
    replicas: int


class KeyChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """A key was made, rotated or revoked."""

    key_id: str
    change: str
    name: str
    prefix: str
    """Its first characters; nobody can be let in by them."""
    role: str
    expires_ms: int
    author: str


class ProjectChangedData(msgspec.Struct, frozen=True, kw_only=True):
    """A project was made, changed, closed or opened again."""

    project: str
    organisation: str
    change: str
    revision: int
    author: str
