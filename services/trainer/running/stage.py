"""Has the serving plane load what is to be measured, under aliases of its own that go when the measurement ends."""

import asyncio
from typing import Final

import structlog

from libs.contracts.registry import DeploymentList, DeploymentStatus, FindDeployments, SetAlias
from libs.contracts.versions import parse_reference, short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.registry_client import Registry

log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.5
_READY: Final = "ready"
_DIGITS: Final = len("job_")


class Stage:
    """For the versions of one evaluation."""

    def __init__(self, registry: Registry, job_id: str, author: str) -> None:
        self._registry = registry
        self._job_id = job_id
        self._author = author

    async def enter(self, references: tuple[str, ...], timeout_s: float) -> None:
        """Return when workers answer as each of these versions; a pool's base stays by itself and gets no alias.

        Raises:
            ServiceError: `deadline_exceeded`, they do not in time; or the registry is away.
        """
        bases = {status.deployment.base.reference for status in await self._deployments()}
        for number, reference in enumerate(references):
            # Whatever else has it loaded may let go of it in the middle.
            if model_of(reference) not in bases:
                await self._set(alias_of(self._job_id, number), reference)
        deadline_s = clock.monotonic_s() + timeout_s
        waiting = list(references)
        while waiting := [each for each in waiting if not await self._is_served(each)]:
            if clock.monotonic_s() > deadline_s:
                text = f"No worker serves {' or '.join(model_of(each) for each in waiting)} after {timeout_s:g} s."
                why = "A pool loads what its base's name, or that of an adapter declared for it, is an alias of."
                raise ServiceError("deadline_exceeded", f"{text} {why}")
            await asyncio.sleep(_LOOK_S)

    async def leave(self, references: tuple[str, ...]) -> None:
        """Remove the aliases, whether they are there or not.

        Raises:
            ServiceError: the registry is away.
        """
        for number, reference in enumerate(references):
            try:
                await self._set(alias_of(self._job_id, number), reference, remove=True)
            except ServiceError as error:
                if error.code != "not_found":
                    raise

    async def _set(self, alias: str, reference: str, *, remove: bool = False) -> None:
        name = parse_reference(reference).name
        target = "" if remove else reference
        moved = SetAlias(name=name, alias=alias, target=target, author=self._author, reason=self._job_id)
        await self._registry.call("alias_set", moved)

    async def _deployments(self) -> tuple[DeploymentStatus, ...]:
        found: DeploymentList = await self._registry.call("deployment_list", FindDeployments())
        return found.deployments

    async def _is_served(self, reference: str) -> bool:
        """Whether a worker that has taken in the newest deployment answers so: an older one may be about to end it."""
        model = model_of(reference)
        return any(
            worker.state == _READY and worker.revision == status.deployment.revision and model in worker.models
            for status in await self._deployments()
            for worker in status.workers
        )


def alias_of(job_id: str, number: int) -> str:
    """The alias under which an evaluation has its candidate (0) or its baseline (1) loaded."""
    return f"eval-{job_id[_DIGITS:]}" + ("-b" if number else "")


def model_of(reference: str) -> str:
    """The name under which workers answer as a version."""
    parsed = parse_reference(reference)
    return short_reference(parsed.name, parsed.digest)
