"""How a worker that follows its pool's deployment begins: it waits for one, fetches the base, and starts the engine."""

import asyncio
from typing import Final

import structlog

from libs.contracts.registry import Deployment
from libs.kit.errors import ServiceError
from libs.kit.fetch.cache import Cache, Lease
from services.inference.engine import AdapterRoom, EngineOrder
from services.inference.settings import Settings
from services.inference.source import Source

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0


async def first_base(source: Source, cache: Cache) -> tuple[Deployment, Lease]:
    """The pool's deployment and its base on this disk; waits for as long as either is not to be had."""
    pause_s, told = _FIRST_PAUSE_S, ""
    while True:
        try:
            deployment = await source.deployment()
            if deployment is not None:
                return deployment, await cache.acquire(deployment.base.digest, source.pages(deployment.base))
            problem = "the pool has no deployment yet"
            pause_s = _FIRST_PAUSE_S
        except ServiceError as error:
            problem = error.message
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        if problem != told:
            told = problem
            log.warning("waiting for a model", problem=problem)
        await asyncio.sleep(pause_s)


def order(settings: Settings, deployment: Deployment | None = None, base: Lease | None = None) -> EngineOrder:
    """What the engine's factory is told: the settings alone, or with the base of a deployment."""
    if deployment is None or base is None:
        return EngineOrder(model=settings.model, model_name=settings.model_name, engine_args=settings.engine_args)
    return EngineOrder(
        model=str(base.directory),
        model_name=deployment.base.reference.partition("@")[0],
        engine_args=(*settings.engine_args, *deployment.engine_args),
        reference=deployment.base.reference,
        adapters=AdapterRoom(
            slots=settings.adapter_slots, max_rank=settings.adapter_max_rank, resident=settings.adapters_resident
        ),
    )
