"""The services that a loop orders from, and the two questions that it asks before a turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from libs.contracts.feedback import Statistics, StatisticsQuery
from libs.contracts.registry import Kind, Resolve, VersionDetails
from libs.contracts.rollouts import Loop, Turn
from libs.contracts.versions import full_reference
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from libs.kit.serving import Operation


@dataclass(frozen=True, kw_only=True)
class Others:
    """Whom a loop asks."""

    feedback: Caller
    trainer: Caller
    registry: Caller
    rollouts: Caller


class Within:
    """Operations of this process, called as those of another service are."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: as the operation.
        """
        return await self._operations[operation](request)


class Exact(NamedTuple):
    """What a turn begins with, as full references."""

    base: str
    baseline: str


async def count_signals(feedback: Caller, loop: Loop, last: Turn | None) -> int:
    """Explicit judgements of the model's versions since the last turn began, or in all of the selection's time.

    Comments are not counted: nothing is taught by them alone.

    Raises:
        ServiceError: feedback is away.
    """
    since_ms = loop.selection.since_ms if last is None else max(last.until_ms, loop.selection.since_ms)
    query = StatisticsQuery(by=("model_version",), tenant=loop.selection.tenant, since_ms=since_ms)
    found: Statistics = await feedback.call("statistics", query)
    return sum(
        row.thumbs_up + row.thumbs_down + row.scores + row.demonstrations
        for row in found.rows
        if row.group["model_version"].partition("@")[0] == loop.model
    )


async def resolve(registry: Caller, loop: Loop) -> Exact:
    """The champion of now, and the base that is taught.

    Raises:
        ServiceError: `version_not_found`, `incompatible_base`, or the registry is away.
    """
    champion = await _show(registry, f"{loop.model}@{loop.rollout.alias}", loop.tenant)
    baseline = full_reference(champion.version.name, champion.version.digest)
    if not loop.base:
        return Exact(champion.manifest.base or baseline, baseline)
    base = await _show(registry, loop.base, loop.tenant)
    if base.manifest.kind is not Kind.MODEL:
        text = f"{loop.base} is of kind {base.manifest.kind.value}; a base is a model."
        raise ServiceError("incompatible_base", text, param="base")
    return Exact(full_reference(base.version.name, base.version.digest), baseline)


async def _show(registry: Caller, reference: str, tenant: str) -> VersionDetails:
    details: VersionDetails = await registry.call("version_show", Resolve(reference, tenant))
    return details
