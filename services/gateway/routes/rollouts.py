"""Endpoints for rollouts: how a candidate takes over a name, step by step, and a person's word about it."""

from typing import Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.rollouts import (
    DeclaredRolloutPlan,
    FindRollouts,
    OrderRollout,
    RolloutRef,
    RolloutState,
    SteerRollout,
)
from services.gateway.routes.endpoints import Asked, Endpoint


class NewRollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rollout to begin; a repeat with the same `id` gives the same one."""

    plan: DeclaredRolloutPlan
    id: str = ""


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a person does it; kept with the change."""

    reason: str = ""


class RolloutFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rollouts."""

    name: str = ""
    state: RolloutState | None = None
    before: str = ""
    limit: int = 100


def _find(asked: Asked) -> FindRollouts:
    wanted = asked.query
    return FindRollouts(
        name=wanted.name, state=wanted.state, before=wanted.before, limit=wanted.limit, tenant=asked.tenant
    )


def _steer(verb: str, summary: str) -> Endpoint:
    return Endpoint(
        service="rollout",
        method="POST",
        path=f"/rollouts/{{id}}/{verb}",
        permission=Permission.ROLLOUTS_WRITE,
        operation=f"rollout_{verb.replace('-', '_')}",
        summary=summary,
        body=Word,
        call=lambda asked: SteerRollout(
            id=asked.path["id"], author=asked.author, reason=asked.body.reason, tenant=asked.tenant
        ),
    )


ENDPOINTS: Final = (
    Endpoint(
        service="rollout",
        method="POST",
        path="/rollouts",
        permission=Permission.ROLLOUTS_WRITE,
        operation="rollout_order",
        summary="Give a candidate its share of a name's requests, step by step.",
        body=NewRollout,
        call=lambda asked: OrderRollout(
            plan=asked.body.plan, author=asked.author, id=asked.body.id, tenant=asked.tenant
        ),
        status=202,
    ),
    Endpoint(
        service="rollout",
        method="GET",
        path="/rollouts",
        permission=Permission.ROLLOUTS_READ,
        operation="rollout_list",
        summary="Rollouts, newest first; `next` of one page is `before` of the following one.",
        query=RolloutFilter,
        call=_find,
    ),
    Endpoint(
        service="rollout",
        method="GET",
        path="/rollouts/{id}",
        permission=Permission.ROLLOUTS_READ,
        operation="rollout_show",
        summary="One rollout: every change so far, and what the evidence says by now.",
        call=lambda asked: RolloutRef(asked.path["id"], asked.tenant),
    ),
    _steer("pause", "Keep the share and take no step; harm still aborts."),
    _steer("resume", "Go on with the steps."),
    _steer("promote", "Move the alias to the candidate at once."),
    _steer("abort", "Take the candidate's share away."),
    _steer("roll-back", "Move the alias back to the last good version."),
)
