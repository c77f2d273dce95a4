"""Ordering a rollout: the plan is checked, its versions are made exact, and it begins."""

import re
from typing import Any, Final

import msgspec

from libs.contracts.registry import Kind, Resolve, Version, VersionDetails
from libs.contracts.rollouts import OrderRollout, Rollout, RolloutPlan, RolloutState
from libs.contracts.versions import BadReferenceError, full_reference, parse_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.rollout.domain.validating import check_plan
from services.rollout.ground import Ground
from services.rollout.repository import rollouts

_ID: Final = re.compile(r"roll_[0-9a-f]{24}")
_MOST_TEXT: Final = 200


class Ordering:
    """Begins rollouts; whoever orders again with the same id gets the same one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def order(self, request: OrderRollout) -> Rollout:
        """Begin a rollout.

        Raises:
            ServiceError: the plan is refused; `version_not_found`; `incompatible_base`; `conflict`, another one runs on
                the name; or something is away.
        """
        known = await self._known(request)
        if known is not None:
            return known
        for field in ("author", "turn"):
            if "\0" in getattr(request, field) or len(getattr(request, field)) > _MOST_TEXT:
                raise ServiceError("invalid_value", f"`{field}` is not a name.", param=field)
        check_plan(request.plan)
        plan, candidate, baseline = await self._exact(request.plan, request.tenant)
        now_ms = clock.unix_ms()
        # Where the platform orders it for a project, the project sees it.
        tenant = request.tenant or candidate.tenant
        values = {
            "id": request.id or f"roll_{clock.new_request_id()}",
            "name": plan.name,
            "state": RolloutState.PREPARING.value,
            "plan": msgspec.json.encode(plan).decode(),
            "author": request.author,
            "turn": request.turn,
            "tenant": tenant,
            "created_ms": now_ms,
            "changed_ms": now_ms,
            "candidate": candidate.digest,
            "baseline": baseline.digest,
            "step_began_ms": now_ms,
        }
        return await self._begin(values)

    async def _known(self, request: OrderRollout) -> Rollout | None:
        rollout_id = request.id
        if not rollout_id:
            return None
        if _ID.fullmatch(rollout_id) is None:
            raise ServiceError("invalid_value", "`id` must be `roll_` and 24 hex digits.", param="id")
        async with self._ground.database.begin() as connection:
            row = await rollouts.find(connection, rollout_id)
        if row is not None and request.tenant not in ("", row.tenant):
            raise _taken(rollout_id)
        return None if row is None else rollouts.rollout_of(row)

    async def _begin(self, values: dict[str, Any]) -> Rollout:
        async with self._ground.database.begin() as connection:
            row = await rollouts.add(connection, values)
            if row is None:
                # A repeat that was as fast as the first one, or a rollout on this name.
                row = await rollouts.find(connection, values["id"])
            other = await rollouts.running_on(connection, values["name"])
        if row is not None and row.tenant != values["tenant"]:
            raise _taken(row.id)
        if row is None:
            which = f"{other.id} is {other.state}" if other else "another one has just ended"
            text = f"On {values['name']} one rollout runs at a time: {which}."
            raise ServiceError("conflict", text, param="name")
        self._ground.changed()
        return rollouts.rollout_of(row)

    async def _exact(self, plan: RolloutPlan, tenant: str) -> tuple[RolloutPlan, Version, Version]:
        """The plan with its candidate made exact, the candidate, and the last good version; both are `tenant`'s."""
        try:
            parse_reference(plan.candidate)
        except BadReferenceError as error:
            raise ServiceError("invalid_value", str(error), param="candidate") from error
        candidate = await self._show(plan.candidate, "candidate", tenant)
        baseline = await self._show(f"{plan.name}@{plan.alias}", "alias", tenant)
        if candidate.name != plan.name:
            text = f"{candidate.reference} is no version of {plan.name}."
            raise ServiceError("invalid_value", text, param="candidate")
        if candidate.digest == baseline.digest:
            text = f"{candidate.reference} is {plan.name}@{plan.alias} already."
            raise ServiceError("invalid_value", text, param="candidate")
        if _base(candidate) != _base(baseline):
            text = f"{candidate.reference} and {baseline.reference} have not the same base; no worker serves both."
            raise ServiceError("incompatible_base", text, param="candidate")
        return msgspec.structs.replace(plan, candidate=candidate.reference), candidate, baseline

    async def _show(self, reference: str, param: str, tenant: str) -> Version:
        wanted = Resolve(reference, tenant)
        try:
            details: VersionDetails = await self._ground.registry.call("version_show", wanted)
        except ServiceError as error:
            raise ServiceError(error.code, error.message, param=param, retry_after_s=error.retry_after_s) from error
        if tenant not in ("", details.version.tenant):
            # Everybody may use what is the platform's; whose requests it answers is not everybody's to decide.
            text = f"{details.version.name} is not yours to roll out."
            raise ServiceError("version_not_found", text, param=param)
        return details.version


def _taken(rollout_id: str) -> ServiceError:
    return ServiceError("conflict", f"The id {rollout_id} is taken; choose another one.", param="id")


def _base(version: Version) -> str:
    """What an engine must have loaded to serve it."""
    if version.kind is Kind.ADAPTER:
        return version.base
    if version.kind is Kind.MODEL:
        return full_reference(version.name, version.digest)
    raise ServiceError("invalid_value", f"{version.reference} is a {version.kind.value}.", param="candidate")
