"""Changes of a deployment that name only what shall be different."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import AdjustDeployment, Deploy, DeploymentStatus
from libs.kit.errors import ServiceError
from services.registry.domain.deploying import Declared
from services.registry.repository import deployments
from services.registry.service.deploying import Deployments, not_deployed
from services.registry.service.references import resolve

_ATTEMPTS: Final = 5
"""Somebody else may declare something between our look and our declaration."""


@dataclass(frozen=True, kw_only=True)
class Adjusting:
    """Declares again what is declared, changed."""

    deployments: Deployments

    async def adjust(self, request: AdjustDeployment) -> DeploymentStatus:
        """Declare what was declared, but for what is named.

        Raises:
            ServiceError: `not_found`, nothing was declared for the pool; `invalid_value`, an adapter to be dropped was
                not asked for; else as `Deployments.declare`.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self.deployments.declare(await self._changed(request))
            except ServiceError as error:
                if error.code != "conflict" or request.expected_generation is not None:
                    raise
        return await self.deployments.declare(await self._changed(request))

    async def _changed(self, request: AdjustDeployment) -> Deploy:
        async with self.deployments.database.begin() as connection:
            record = await deployments.get(connection, request.pool)
            if record is None:
                raise not_deployed(request.pool)
            declared = record.declared
            adapters = await _adapters(connection, declared, request)
        return Deploy(
            pool=request.pool,
            base=declared.base.reference if request.base is None else request.base,
            author=request.author,
            adapters=adapters,
            engine_args=declared.engine_args if request.engine_args is None else request.engine_args,
            replicas=declared.replicas if request.replicas is None else request.replicas,
            expected_generation=(
                declared.generation if request.expected_generation is None else request.expected_generation
            ),
        )


async def _adapters(connection: AsyncConnection, declared: Declared, request: AdjustDeployment) -> tuple[str, ...]:
    kept = {version.digest: version.reference for version in declared.adapters}
    for dropped in request.drop_adapters:
        row = await resolve(connection, dropped, param="drop_adapters")
        if kept.pop(row.digest, None) is None:
            raise ServiceError(
                "invalid_value",
                f"{dropped[:200]} was not asked for here; what an alias points to stays loaded as long as it does.",
                param="drop_adapters",
            )
    return (*kept.values(), *request.add_adapters)
