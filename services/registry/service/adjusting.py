"""Changes of a deployment that name only what shall be different."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import AdjustDeployment, Deploy, DeployedVersion, DeploymentStatus
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from services.registry.domain.deploying import Declared
from services.registry.repository import deployments
from services.registry.service.deploying import Deployments, changed_since, not_deployed
from services.registry.service.references import resolve

_ATTEMPTS: Final = 10
"""Another process, or a declaration, may come between our look and our declaration."""


@dataclass(frozen=True, kw_only=True)
class Adjusting:
    """Declares again what is declared, changed."""

    deployments: Deployments
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One after the other, so that those of one process do not undo each other's attempts."""

    async def adjust(self, request: AdjustDeployment) -> DeploymentStatus:
        """Declare what was declared, but for what is named; may be repeated.

        Raises:
            ServiceError: `not_found`, nothing was declared for the pool; `missing_field`, nothing is named; else as
                `Deployments.declare`.
        """
        _check(request)
        async with self._turn:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._declare(request)
                except ServiceError as error:
                    if error.code != "conflict" or request.expected_generation is not None:
                        raise
            return await self._declare(request)

    async def _declare(self, request: AdjustDeployment) -> DeploymentStatus:
        wanted = await self._changed(request)
        try:
            return await self.deployments.declare(wanted)
        except ServiceError as error:
            if error.param == "adapters":
                # As whoever asked has named them: one was added, or another base does not take those that are there.
                error.param = "add_adapters" if request.add_adapters else "base"
            raise

    async def _changed(self, request: AdjustDeployment) -> Deploy:
        async with self.deployments.database.begin() as connection:
            record = await deployments.get(connection, request.pool)
            if record is None:
                raise not_deployed(request.pool)
            declared = record.declared
            if request.expected_generation not in (None, declared.generation):
                raise changed_since(request.pool, declared.generation)
            adapters = await _adapters(connection, declared, request)
        return Deploy(
            pool=request.pool,
            base=_reference(declared.base) if request.base is None else request.base,
            author=request.author,
            adapters=adapters,
            engine_args=declared.engine_args if request.engine_args is None else request.engine_args,
            replicas=declared.replicas if request.replicas is None else request.replicas,
            expected_generation=declared.generation,
        )


def _check(request: AdjustDeployment) -> None:
    named = (request.base, request.engine_args, request.replicas)
    if not any((request.add_adapters, request.drop_adapters, *(each is not None for each in named))):
        text = "Name what is to be different: base, add_adapters, drop_adapters, engine_args or replicas."
        raise ServiceError("missing_field", text)


async def _adapters(connection: AsyncConnection, declared: Declared, request: AdjustDeployment) -> tuple[str, ...]:
    kept = {version.digest: _reference(version) for version in declared.adapters}
    for dropped in request.drop_adapters:
        kept.pop((await resolve(connection, dropped, param="drop_adapters")).digest, None)
    return (*kept.values(), *request.add_adapters)


def _reference(version: DeployedVersion) -> str:
    return full_reference(version.reference.partition("@")[0], version.digest)
