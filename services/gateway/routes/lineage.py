"""Endpoints for lineage: what shaped an answer, and what a judgement shaped."""

from typing import Final

from libs.contracts.lineage import AnswerRef, SignalRef
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Endpoint

ENDPOINTS: Final = (
    Endpoint(
        service="lineage",
        method="GET",
        path="/lineage/answers/{id}",
        permission=Permission.LINEAGE_READ,
        operation="answer_why",
        summary="What shaped an answer: version, job, data set, judgements, verdict, rollout.",
        call=lambda asked: AnswerRef(asked.path["id"]),
    ),
    Endpoint(
        service="lineage",
        method="GET",
        path="/lineage/signals/{id}",
        permission=Permission.LINEAGE_READ,
        operation="signal_impact",
        summary="What a judgement shaped: data sets, versions, rollouts, and what of it answers today.",
        call=lambda asked: SignalRef(asked.path["id"]),
    ),
)
