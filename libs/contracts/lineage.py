"""What shaped an answer, and what a judgement shaped: put together by the gateway from what the services know.

Nobody owns these as rows; `GET /admin/v1/lineage/…` asks the owners each time. What an owner does not know (any more)
is said in `gaps`; an owner that is away fails the call, so that a gap never means "perhaps".
"""

from typing import Final

import msgspec

from libs.contracts.feedback import DatasetOrigin, Interaction, Signal
from libs.contracts.registry import Manifest, Version
from libs.contracts.rollouts import Rollout, Turn
from libs.contracts.training import Job


class AnswerRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which answer: by the client's inference id or by the request's."""

    id: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class AnswerLineage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything that made one answer what it is."""

    interaction: Interaction
    summary: str
    """In a sentence, for people."""
    version: Version | None = None
    manifest: Manifest | None = None
    """Its lineage names job, data set and code; its base is what was taught."""
    job: Job | None = None
    """With its plan, and the report and verdict of its evaluation."""
    dataset: DatasetOrigin | None = None
    dataset_digest: str = ""
    turn: Turn | None = None
    rollout: Rollout | None = None
    gaps: tuple[str, ...] = ()


class SignalRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which judgement."""

    id: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class ShapedVersion(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A version that was made from a data set in which the judgement held."""

    version: Version
    dataset: str
    job: str = ""
    turn: Turn | None = None
    rollouts: tuple[Rollout, ...] = ()
    """Newest first."""
    serves: tuple[str, ...] = ()
    """Names that it answers to at this moment, in any pool."""


class SignalImpact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything that one judgement shaped."""

    signal: Signal
    summary: str
    interactions: int = 0
    """That it is about."""
    datasets: tuple[str, ...] = ()
    versions: tuple[ShapedVersion, ...] = ()
    """Newest first."""
    gaps: tuple[str, ...] = ()


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "answer_why": (AnswerRef, AnswerLineage),
    "signal_impact": (SignalRef, SignalImpact),
}
"""Answered by the gateway itself; there is no subject for them."""
