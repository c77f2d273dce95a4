"""Questions to the owners of lineage; what an owner does not know (any more) is None, and not a failure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from libs.contracts.feedback import DatasetOrigin, Interaction, ShowInteraction, ShowOrigin, ShowReach, SignalReach
from libs.contracts.registry import (
    DeploymentList,
    FindDeployments,
    Kind,
    ListVersions,
    Resolve,
    Version,
    VersionDetails,
    VersionPage,
)
from libs.contracts.rollouts import (
    FindRollouts,
    FindTurns,
    Rollout,
    RolloutPage,
    RolloutRef,
    RolloutStatus,
    Turn,
    TurnPage,
)
from libs.contracts.training import Job, JobRef
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError

_UNKNOWN: Final = frozenset({"not_found", "job_not_found", "version_not_found"})
_PAGE: Final = 100
_SHOWN: Final = 20
_WEIGHTS: Final = frozenset({Kind.MODEL, Kind.ADAPTER})


class Owners:
    """The services, each asked for what it owns of one tenant's, or of everybody's (empty)."""

    def __init__(self, services: Mapping[str, Caller], tenant: str = "") -> None:
        self._services = services
        self._tenant = tenant

    async def interaction(self, ident: str) -> Interaction:
        """One interaction.

        Raises:
            ServiceError: `interaction_not_found`, `invalid_value`, or feedback is away.
        """
        found: Interaction = await self._services["feedback"].call(
            "interaction_show", ShowInteraction(ident, self._tenant)
        )
        return found

    async def reach(self, signal_id: str) -> SignalReach:
        """Where a judgement went.

        Raises:
            ServiceError: `not_found`, or feedback is away.
        """
        found: SignalReach = await self._services["feedback"].call("signal_reach", ShowReach(signal_id, self._tenant))
        return found

    async def origin(self, dataset: str) -> DatasetOrigin:
        """What a data set was built from."""
        found: DatasetOrigin = await self._services["feedback"].call(
            "dataset_origin", ShowOrigin(dataset, _SHOWN, self._tenant)
        )
        return found

    async def version(self, reference: str) -> VersionDetails | None:
        """One version with its manifest."""
        details: VersionDetails | None = await self._maybe("registry", "version_show", Resolve(reference, self._tenant))
        return details

    async def versions_of(self, dataset: str) -> list[Version]:
        """Models and adapters made from a data set, newest first."""
        found: list[Version] = []
        before = ""
        while True:
            asked = ListVersions(dataset=dataset, before=before, limit=_PAGE, tenant=self._tenant)
            page: VersionPage = await self._services["registry"].call("version_list", asked)
            found += [version for version in page.versions if version.kind in _WEIGHTS]
            before = page.next
            if not before:
                return found

    async def names(self) -> dict[str, list[str]]:
        """Names that pools answer to, by the reference behind each."""
        status: DeploymentList = await self._services["registry"].call("deployment_list", FindDeployments(self._tenant))
        found: dict[str, list[str]] = {}
        for one in status.deployments:
            for name, reference in sorted(one.deployment.names.items()):
                found.setdefault(reference, []).append(name)
        return found

    async def job(self, job_id: str) -> Job | None:
        """One job of the trainer."""
        found: Job | None = await self._maybe("trainer", "job_show", JobRef(job_id, self._tenant))
        return found

    async def turn(self, version: str) -> Turn | None:
        """The turn that made a version."""
        page: TurnPage = await self._services["rollout"].call(
            "turn_list", FindTurns(version=version, limit=1, tenant=self._tenant)
        )
        return page.turns[0] if page.turns else None

    async def rollout(self, rollout_id: str) -> Rollout | None:
        """One rollout."""
        status: RolloutStatus | None = await self._maybe(
            "rollout", "rollout_show", RolloutRef(rollout_id, self._tenant)
        )
        return None if status is None else status.rollout

    async def rollouts_of(self, name: str, reference: str) -> list[Rollout]:
        """Rollouts of a version, newest first."""
        found: list[Rollout] = []
        before = ""
        while True:
            asked = FindRollouts(name=name, before=before, limit=_PAGE, tenant=self._tenant)
            page: RolloutPage = await self._services["rollout"].call("rollout_list", asked)
            found += [rollout for rollout in page.rollouts if rollout.candidate == reference]
            before = page.next
            if not before:
                return found

    async def _maybe(self, service: str, operation: str, request: msgspec.Struct) -> Any:
        try:
            return await self._services[service].call(operation, request)
        except ServiceError as error:
            if error.code not in _UNKNOWN:
                raise
            return None
