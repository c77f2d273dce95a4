"""From an answer to everything that shaped it."""

from dataclasses import dataclass, field
from typing import Any

from libs.contracts.feedback import DatasetOrigin, Interaction
from libs.contracts.lineage import AnswerLineage, AnswerRef
from libs.contracts.registry import VersionDetails
from libs.contracts.versions import parse_reference
from services.gateway.lineage.asking import Owners


@dataclass
class _Found:
    """What is known so far."""

    parts: dict[str, Any] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


async def why(owners: Owners, asked: AnswerRef) -> AnswerLineage:
    """What made an answer what it is.

    Raises:
        ServiceError: `interaction_not_found`, `invalid_value`, or somebody who must be asked is away.
    """
    interaction = await owners.interaction(asked.id)
    found = _Found()
    details = await owners.version(interaction.model_version) if interaction.model_version else None
    if details is not None:
        found.parts |= {"version": details.version, "manifest": details.manifest}
        await _training(owners, details, found)
        await _takeover(owners, details, found)
    elif interaction.model_version:
        found.gaps.append(f"The registry does not know {interaction.model_version} (any more).")
    summary = _summary(interaction, details, found.parts)
    return AnswerLineage(interaction=interaction, summary=summary, gaps=tuple(found.gaps), **found.parts)


async def _training(owners: Owners, details: VersionDetails, found: _Found) -> None:
    lineage = details.manifest.lineage
    if lineage.job:
        found.parts["job"] = await owners.job(lineage.job)
        if found.parts["job"] is None:
            found.gaps.append(f"The trainer does not know {lineage.job} (any more).")
    if not lineage.dataset:
        return
    found.parts["dataset_digest"] = parse_reference(lineage.dataset).digest
    origin = await owners.origin(lineage.dataset)
    found.parts["dataset"] = origin
    if origin.job is None:
        found.gaps.append(f"{lineage.dataset} was not built from judgements here: feedback has no build of it.")
    if replay := details.manifest.annotations.get("replay"):
        found.gaps.append(f"Rows of {replay} were mixed in; they are not followed further.")


async def _takeover(owners: Owners, details: VersionDetails, found: _Found) -> None:
    turn = await owners.turn(details.version.reference)
    rollouts = await owners.rollouts_of(details.version.name, details.version.reference)
    found.parts |= {"turn": turn, "rollout": rollouts[0] if rollouts else None}
    if turn is not None and turn.rollout and not rollouts:
        found.gaps.append(f"There is no rollout {turn.rollout} (any more).")


def _summary(interaction: Interaction, details: VersionDetails | None, parts: dict[str, Any]) -> str:
    if not interaction.model_version:
        return "No version answered: the request ended without one."
    reference = interaction.model_version
    if details is None:
        return f"{reference} answered; what shaped it is not known any more."
    lineage = details.manifest.lineage
    if not lineage.dataset:
        what = "a base model" if not details.manifest.base else f"an adapter of {details.manifest.base}"
        made = f" made by {lineage.job}" if lineage.job else ""
        return f"{reference} answered: {what}{made}, made of no data set. No judgement shaped it."
    origin: DatasetOrigin = parts["dataset"]
    how = f"{origin.signals} judgements of {origin.interactions} interactions" if origin.job else "rows from elsewhere"
    base = f" taught {details.manifest.base}" if details.manifest.base else ""
    return f"{reference} answered: {how}{base} in {lineage.job or 'an unknown job'} (code {lineage.code or 'unknown'})."
