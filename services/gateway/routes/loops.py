"""Endpoints for loops, which improve a served name by themselves, and for their turns."""

from typing import Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.rollouts import ApplyLoop, DeclaredLoop, FindLoops, FindTurns, LoopName, TurnRef
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint


class TurnFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which turns."""

    loop: str = ""
    version: str = ""
    dataset: str = ""
    before: str = ""
    limit: int = 100


def _apply(asked: Asked) -> ApplyLoop:
    if asked.body.name != asked.path["name"]:
        raise ServiceError("invalid_value", "`name` must be the one in the path.", param="name")
    tenant = asked.only(asked.body.tenant)
    # A loop that the platform declares for a project learns from that project.
    whose = asked.whose(asked.body.selection.tenant or tenant)
    selection = msgspec.structs.replace(asked.body.selection, tenant=whose)
    return ApplyLoop(loop=msgspec.structs.replace(asked.body, tenant=tenant, selection=selection), author=asked.author)


def _find(asked: Asked) -> FindTurns:
    wanted: FindTurns = msgspec.convert(asked.query, FindTurns, from_attributes=True)
    return msgspec.structs.replace(wanted, tenant=asked.tenant)


def _name(asked: Asked) -> LoopName:
    return LoopName(asked.path["name"], asked.author, asked.tenant)


def _turn(asked: Asked) -> TurnRef:
    return TurnRef(asked.path["id"], asked.author, asked.tenant)


def _steer(verb: str, summary: str, status: int = 200) -> Endpoint:
    return Endpoint(
        service="rollout",
        method="POST",
        path=f"/loops/{{name}}/{verb}",
        permission=Permission.LOOPS_WRITE,
        operation=f"loop_{verb}",
        summary=summary,
        call=_name,
        status=status,
    )


ENDPOINTS: Final = (
    Endpoint(
        service="rollout",
        method="PUT",
        path="/loops/{name}",
        permission=Permission.LOOPS_WRITE,
        operation="loop_apply",
        summary="Declare a loop, or declare it anew; a turn that is under way keeps what it began with.",
        body=DeclaredLoop,
        call=_apply,
    ),
    Endpoint(
        service="rollout",
        method="GET",
        path="/loops",
        permission=Permission.LOOPS_READ,
        operation="loop_list",
        summary="Every loop and what it waits for.",
        call=lambda asked: FindLoops(asked.tenant),
    ),
    Endpoint(
        service="rollout",
        method="GET",
        path="/loops/{name}",
        permission=Permission.LOOPS_READ,
        operation="loop_show",
        summary="One loop, its newest turn, and what it waits for.",
        call=_name,
    ),
    Endpoint(
        service="rollout",
        method="DELETE",
        path="/loops/{name}",
        permission=Permission.LOOPS_WRITE,
        operation="loop_remove",
        summary="Forget a loop; its turns stay on record.",
        call=_name,
        status=204,
    ),
    _steer("pause", "Begin no turn, and take no step of one that is under way."),
    _steer("resume", "Go on."),
    _steer("turn", "Begin a turn at once, whatever the trigger says.", status=202),
    Endpoint(
        service="rollout",
        method="GET",
        path="/turns",
        permission=Permission.LOOPS_READ,
        operation="turn_list",
        summary="Turns of loops, newest first; `next` of one page is `before` of the following one.",
        query=TurnFilter,
        call=_find,
    ),
    Endpoint(
        service="rollout",
        method="GET",
        path="/turns/{id}",
        permission=Permission.LOOPS_READ,
        operation="turn_show",
        summary="One turn: which judgements led to which data set, job, report and rollout.",
        call=_turn,
    ),
    Endpoint(
        service="rollout",
        method="POST",
        path="/turns/{id}/cancel",
        permission=Permission.LOOPS_WRITE,
        operation="turn_cancel",
        summary="Call a turn off, with whatever of it still runs.",
        call=_turn,
    ),
)
