"""The public catalogue: which events others may hear, of whom, and how each is made from what services say inside.

`services/events` publishes them as CloudEvents (structured mode) on `subjects.public(tenant, type)`, into one stream.
`python -m libs.contracts.asyncapi` describes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from libs.contracts import public_data as data
from libs.contracts import subjects
from libs.contracts.datasets import DatasetBuilt
from libs.contracts.feedback import SignalRecorded, SignalRefused, StatisticsUpdated
from libs.contracts.identity import KeyChanged, ProjectChanged
from libs.contracts.inference import RequestCompleted, Usage
from libs.contracts.registry import AliasMoved, DeploymentChanged, VersionPublished
from libs.contracts.rollouts import RolloutChanged, TurnChanged
from libs.contracts.training import JobChanged

MEDIA_TYPE: Final = "application/cloudevents+json"
PREFIX: Final = "dev.llmos."
"""How every type begins."""
PLATFORM: Final = ""
"""The tenant of what concerns the whole platform."""

M = TypeVar("M")


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One public event, as it is stored and as every subscriber gets it (CloudEvents 1.0, JSON format)."""

    specversion: str = "1.0"
    id: str
    """Unique; who hears an id twice has heard one event twice."""
    source: str
    type: str
    time: str
    tenant: str
    """Whose event it is; empty: the platform's."""
    subject: str
    """What it is about: an id or a name."""
    datacontenttype: str = "application/json"
    data: msgspec.Raw


class PublicNews(msgspec.Struct, frozen=True):
    """The stream of public events has more; core NATS, so that readers need not ask all the time."""

    tenants: tuple[str, ...]
    """As in the subjects."""


class Made(NamedTuple):
    """What one internal message becomes."""

    id: str
    time_ms: int
    tenant: str
    subject: str
    data: msgspec.Struct


@dataclass(frozen=True, kw_only=True)
class PublicEvent(Generic[M]):
    """One type of public event."""

    name: str
    """The type, as CloudEvents calls it."""
    said_on: str
    """The internal subject."""
    message: type[M]
    data: type[msgspec.Struct]
    make: Callable[[M], Made]


def _completed(said: RequestCompleted) -> Made:
    usage = said.usage or Usage()
    told = data.RequestCompletedData(
        request_id=said.request_id,
        client_request_id=said.client_request_id,
        key_id=said.key_id,
        route=said.route,
        model=said.model,
        model_version=said.model_version,
        outcome=said.outcome,
        status=said.status,
        error_code=said.error_code,
        stream=said.stream,
        service_class=said.service_class.value,
        episode_id=said.episode_id,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        queue_ms=said.queue_ms,
        first_byte_ms=said.first_byte_ms,
        total_ms=said.total_ms,
    )
    return Made(said.id, said.time_ms, said.tenant, said.request_id, told)


def _recorded(said: SignalRecorded) -> Made:
    signal = said.signal
    told = data.SignalRecordedData(
        signal_id=signal.id,
        kind=signal.kind.value,
        value=None if isinstance(signal.value, str) else signal.value,
        source=signal.source.value,
        request_id=signal.request_id,
        episode_id=signal.episode_id,
        model_version=signal.model_version,
        rater=signal.rater,
        tags=signal.tags,
        supersedes=signal.supersedes,
    )
    return Made(said.id, said.time_ms, signal.tenant, signal.id, told)


def _refused(said: SignalRefused) -> Made:
    told = data.SignalRefusedData(signal_id=said.signal_id, code=said.code, reason=said.reason)
    return Made(said.id, said.time_ms, said.tenant, said.signal_id, told)


def _statistics(said: StatisticsUpdated) -> Made:
    row = said.row
    told = data.StatisticsUpdatedData(
        group=row.group,
        interactions=row.interactions,
        thumbs_up=row.thumbs_up,
        thumbs_down=row.thumbs_down,
        scores=row.scores,
        score_mean=row.score_mean,
        comments=row.comments,
        demonstrations=row.demonstrations,
        approval=row.approval,
        approval_low=row.approval_low,
        approval_high=row.approval_high,
    )
    return Made(said.id, said.time_ms, PLATFORM, row.group.get("model_version", ""), told)


def _built(said: DatasetBuilt) -> Made:
    job = said.job
    told = data.DatasetBuiltData(
        dataset_id=job.id,
        name=job.selection.name,
        reference=job.reference,
        digest=job.digest,
        counts=job.counts,
    )
    return Made(said.id, said.time_ms, job.selection.tenant, job.id, told)


def _job(said: JobChanged) -> Made:
    job = said.job
    told = data.JobChangedData(
        job_id=job.id,
        kind=job.kind.value,
        state=job.state.value,
        parent=job.parent,
        version=job.version,
        report=job.report,
        passed=job.verdict.passed if job.verdict is not None else None,
        error_code=job.error_code,
    )
    return Made(said.id, said.time_ms, job.tenant, job.id, told)


def _published(said: VersionPublished) -> Made:
    version = said.version
    told = data.VersionPublishedData(
        reference=version.reference,
        name=version.name,
        kind=version.kind,
        number=version.number,
        size_bytes=version.size_bytes,
        base=version.base,
    )
    return Made(said.id, said.time_ms, version.tenant, version.reference, told)


def _moved(said: AliasMoved) -> Made:
    alias = said.alias
    told = data.AliasMovedData(
        name=alias.name,
        alias=alias.alias,
        digest=alias.digest,
        previous=said.previous,
        generation=alias.generation,
    )
    return Made(said.id, said.time_ms, said.tenant, f"{alias.name}@{alias.alias}", told)


def _deployed(said: DeploymentChanged) -> Made:
    deployment = said.deployment
    told = data.DeploymentChangedData(
        pool=deployment.pool,
        generation=deployment.generation,
        revision=deployment.revision,
        base=deployment.base.reference,
        names=deployment.names,
        replicas=deployment.replicas,
    )
    return Made(said.id, said.time_ms, PLATFORM, deployment.pool, told)


def _rollout(said: RolloutChanged) -> Made:
    rollout = said.rollout
    told = data.RolloutChangedData(
        rollout_id=rollout.id,
        name=rollout.plan.name,
        alias=rollout.plan.alias,
        state=rollout.state.value,
        step=rollout.step,
        steps=len(rollout.plan.steps),
        candidate=rollout.candidate,
        baseline=rollout.baseline,
        turn=rollout.turn,
        reason=rollout.reason,
    )
    return Made(said.id, said.time_ms, rollout.tenant, rollout.id, told)


def _turn(said: TurnChanged) -> Made:
    turn = said.turn
    told = data.TurnChangedData(
        turn_id=turn.id,
        loop=turn.loop,
        number=turn.number,
        state=turn.state.value,
        dataset=turn.dataset,
        job=turn.job,
        version=turn.version,
        rollout=turn.rollout,
        reason=turn.reason,
    )
    return Made(said.id, said.time_ms, turn.declared.tenant, turn.id, told)


def _key(said: KeyChanged) -> Made:
    key = said.key
    told = data.KeyChangedData(
        key_id=key.id,
        change=said.change,
        name=key.name,
        prefix=key.prefix,
        role=key.role.value,
        expires_ms=key.expires_ms,
        author=said.author,
    )
    return Made(said.id, said.time_ms, key.tenant, key.id, told)


def _project(said: ProjectChanged) -> Made:
    told = data.ProjectChangedData(
        project=said.project.name,
        organisation=said.project.organisation,
        change=said.change,
        revision=said.project.revision,
        author=said.author,
    )
    return Made(said.id, said.time_ms, said.project.name, said.project.name, told)


def _entry(name: str, said_on: str, message: type[M], kind: type[msgspec.Struct], make: Callable[[M], Made]) -> Any:
    return PublicEvent(name=f"{PREFIX}{name}.v1", said_on=said_on, message=message, data=kind, make=make)


PUBLIC_EVENTS: Final[tuple[PublicEvent[Any], ...]] = (
    _entry("request.completed", subjects.COMPLETED, RequestCompleted, data.RequestCompletedData, _completed),
    _entry("signal.recorded", subjects.SIGNAL_RECORDED, SignalRecorded, data.SignalRecordedData, _recorded),
    _entry("signal.refused", subjects.SIGNAL_REFUSED, SignalRefused, data.SignalRefusedData, _refused),
    _entry(
        "statistics.updated", subjects.STATISTICS_UPDATED, StatisticsUpdated, data.StatisticsUpdatedData, _statistics
    ),
    _entry("dataset.built", subjects.DATASET_BUILT, DatasetBuilt, data.DatasetBuiltData, _built),
    _entry("job.changed", subjects.JOB_CHANGED, JobChanged, data.JobChangedData, _job),
    _entry("version.published", subjects.VERSION_PUBLISHED, VersionPublished, data.VersionPublishedData, _published),
    _entry("alias.moved", subjects.ALIAS_MOVED, AliasMoved, data.AliasMovedData, _moved),
    _entry("deployment.changed", subjects.DEPLOYMENT_CHANGED, DeploymentChanged, data.DeploymentChangedData, _deployed),
    _entry("rollout.changed", subjects.ROLLOUT_CHANGED, RolloutChanged, data.RolloutChangedData, _rollout),
    _entry("turn.changed", subjects.TURN_CHANGED, TurnChanged, data.TurnChangedData, _turn),
    _entry("key.changed", subjects.KEY_CHANGED, KeyChanged, data.KeyChangedData, _key),
    _entry("project.changed", subjects.PROJECT_CHANGED, ProjectChanged, data.ProjectChangedData, _project),
)
"""Every type that others may hear."""

BY_SUBJECT: Final = {each.said_on: each for each in PUBLIC_EVENTS}
TYPES: Final = tuple(each.name for each in PUBLIC_EVENTS)
