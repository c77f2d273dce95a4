"""Endpoints for lineage: what shaped an answer, and what a judgement shaped."""

from typing import Final

import msgspec

from libs.contracts.feedback import Signal
from libs.contracts.lineage import AnswerLineage, AnswerRef, SignalImpact, SignalRef
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Asked, Endpoint

_NOTHING: Final = msgspec.Raw(b"null")


def _why(asked: Asked, found: AnswerLineage) -> AnswerLineage:
    if Permission.CONTENT_READ in asked.permissions:
        return found
    interaction = msgspec.structs.replace(
        found.interaction, messages=_NOTHING, answer=_NOTHING, signals=_bare(found.interaction.signals), partial=True
    )
    dataset = found.dataset and msgspec.structs.replace(found.dataset, shown=_bare(found.dataset.shown))
    return msgspec.structs.replace(found, interaction=interaction, dataset=dataset)


def _impact(asked: Asked, found: SignalImpact) -> SignalImpact:
    if Permission.CONTENT_READ in asked.permissions:
        return found
    return msgspec.structs.replace(found, signal=_bare((found.signal,))[0])


def _bare(signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
    """Judgements without words that people wrote."""
    return tuple(
        msgspec.structs.replace(signal, value="") if isinstance(signal.value, str) else signal for signal in signals
    )


ENDPOINTS: Final = (
    Endpoint(
        service="lineage",
        method="GET",
        path="/lineage/answers/{id}",
        permission=Permission.LINEAGE_READ,
        operation="answer_why",
        summary="What shaped an answer: version, job, data set, judgements, verdict, rollout.",
        call=lambda asked: AnswerRef(asked.path["id"], asked.tenant),
        select=_why,
    ),
    Endpoint(
        service="lineage",
        method="GET",
        path="/lineage/signals/{id}",
        permission=Permission.LINEAGE_READ,
        operation="signal_impact",
        summary="What a judgement shaped: data sets, versions, rollouts, and what of it answers today.",
        call=lambda asked: SignalRef(asked.path["id"], asked.tenant),
        select=_impact,
    ),
)
