"""Follows the pool's deployment: makes this worker serve what it says, and says how far that has come.

Level-triggered: what is wanted is read again after every reconnect and every ten seconds, whatever was missed between.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import ServedModel
from libs.contracts.registry import DeployedVersion, Deployment
from libs.kit import clock
from libs.kit.bus import BusClient, Message
from libs.kit.errors import ServiceError
from libs.kit.fetch.cache import Cache, Lease
from libs.kit.waiting import set_within
from services.inference.adapters import Adapters
from services.inference.engine import Engine
from services.inference.offer import Offer
from services.inference.source import Source, read_deployment
from services.inference.worker import Worker

log = structlog.get_logger(__name__)

_READ_S: Final = 10.0
_RETRY_S: Final = 1.0
_CONNECT_S: Final = 5.0
"""How long to wait for the bus before the first look; what is in the cache needs no bus."""
_MAX_ERROR: Final = 250
"""Characters per version; a beat is small."""
_MAX_ERRORS: Final = 2_000


class Follower:
    """One worker's share of a deployment, from the moment its engine runs."""

    def __init__(
        self, deployment: Deployment, *, engine: Engine, cache: Cache, source: Source, bus: BusClient, offer: Offer
    ) -> None:
        """Begin where the engine was started with the base of `deployment`."""
        self.reload_ready = asyncio.Event()
        """Set when this process should end and start again: what it needs for that is in the cache."""
        self._wanted = deployment
        self._base = deployment.base
        self._engine_args = deployment.engine_args
        self._base_model = engine.models[0]
        self._cache = cache
        self._source = source
        self._bus = bus
        self.offer = offer
        self._wake = asyncio.Event()
        self._adapters = Adapters(engine, cache, source, deployment.base, self._wake.set)
        self._worker: Worker | None = None
        self._settled = asyncio.Event()
        self._read_due_s = 0.0
        self._reload_asked = False
        self._next_base: list[Lease] = []
        self._task: asyncio.Task[None] | None = None
        offer.base = deployment.base.reference

    def start(self, worker_id: str) -> None:
        """Follow from here on, in a task of its own, until `stop`."""
        self._bus.subscribe(subjects.deployment(self._wanted.pool), self._on_change)
        self._bus.subscribe(subjects.reload(worker_id), lambda _: self._on_reload())
        self._task = asyncio.create_task(self._follow(), name="deployment")

    async def settle(self, timeout_s: float) -> None:
        """Wait until everything that the deployment wants has been loaded or has failed once, but not for ever."""
        await set_within(self._settled, timeout_s)

    def serve(self, worker: Worker) -> None:
        """From here on `worker` may use what is offered."""
        self._worker = worker

    def stop(self) -> None:
        """Change nothing any more."""
        if self._task is not None:
            self._task.cancel()
        self._adapters.stop()

    async def ended(self) -> None:
        """Wait until nothing of it runs; a blob on its way may take until the store's silence is long enough."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._adapters.ended()

    def read_again(self) -> None:
        """The bus was away: something may have been missed."""
        self._read_due_s = 0.0
        self._wake.set()

    # What is wanted

    def _on_change(self, message: Message) -> None:
        deployment = read_deployment(message)
        if deployment is not None:
            self._see(deployment)

    def _on_reload(self) -> None:
        self._reload_asked = True
        # The order may have overtaken the deployment that it is about.
        self.read_again()

    def _see(self, deployment: Deployment) -> None:
        if deployment.revision <= self._wanted.revision:
            return
        self._wanted = deployment
        if not self._needs_restart():
            # At once, so that what is about to be removed is not offered, and what is offered is not removed.
            self._adapters.want(deployment.adapters)
            self._present()
        self._wake.set()

    def _needs_restart(self) -> bool:
        wanted = self._wanted
        return wanted.base.digest != self._base.digest or wanted.engine_args != self._engine_args

    # Carrying it out

    async def _follow(self) -> None:
        await set_within(self._wake, 0.0 if self._bus.connected else _CONNECT_S)
        while True:
            self._wake.clear()
            await self._read()
            try:
                pause_s = await self._carry_out()
            except Exception:
                # Whatever one deployment does to this worker, it serves on and hears of the next.
                log.exception("deployment failed", revision=self._wanted.revision)
                pause_s = _RETRY_S
            if self._is_settled():
                self._settled.set()
            left_s = max(0.0, min(pause_s, self._read_due_s - clock.monotonic_s()))
            await set_within(self._wake, left_s)

    async def _read(self) -> None:
        if clock.monotonic_s() < self._read_due_s:
            return
        self._read_due_s = clock.monotonic_s() + _READ_S
        try:
            deployment = await self._source.deployment()
        except ServiceError as error:
            log.warning("deployment not read", error=error.message)
            self._read_due_s = clock.monotonic_s() + _RETRY_S
            return
        if deployment is not None:
            self._see(deployment)

    async def _carry_out(self) -> float:
        """Do what can be done now; seconds after which to look again, if nothing happens before."""
        if self._needs_restart():
            return await self._prepare_reload() if self._reload_asked else _READ_S
        self._reload_asked = False
        self._adapters.want(self._wanted.adapters)
        self._present()
        remains = await self._adapters.remove_unwanted(self._uses)
        return _RETRY_S if remains or self.offer.missing else _READ_S

    def _is_settled(self) -> bool:
        settled = all(self._adapters.is_settled(version.reference) for version in self._wanted.adapters)
        return settled or self._needs_restart()

    def _uses(self, version: str) -> bool:
        return self._worker is not None and self._worker.uses(version)

    def _present(self) -> None:
        """Offer every version that is wanted and loaded, and every name with such a version behind it.

        A name whose new version is not loaded yet stays with the one it had, as long as that one is wanted.
        """
        wanted = self._wanted
        references = [version.reference for version in wanted.adapters if self._adapters.has(version.reference)]
        owners = {version.reference: version.owner for version in (wanted.base, *wanted.adapters)}
        base_model = msgspec.structs.replace(self._base_model, owner=owners.get(self._base.reference, ""))
        here = {self._base.reference: base_model} | {
            reference: _renamed(base_model, reference, reference, adapter=True, owner=owners[reference])
            for reference in references
        }
        named = []
        for name, reference in sorted(wanted.names.items()):
            model = here.get(reference) or here.get(self.offer.versions.get(name, ""))
            if model is not None and name not in here:
                named.append(_renamed(model, name, model.version, adapter=model.adapter, owner=model.owner))
        missing = [version.reference for version in wanted.adapters if not self._adapters.has(version.reference)]
        errors = ((reference, self._adapters.error(reference)) for reference in missing)
        self.offer.change(
            models=(*here.values(), *named),
            revision=wanted.revision,
            missing=tuple(missing),
            error="; ".join(f"{reference}: {said}"[:_MAX_ERROR] for reference, said in errors if said)[:_MAX_ERRORS],
        )

    # Changing the base

    async def _prepare_reload(self) -> float:
        """Fetch the next base while the present one serves; its adapters too, as far as they come."""
        wanted = self._wanted
        try:
            leases = [await self._acquire(wanted.base)]
        except ServiceError as error:
            self.offer.change(
                models=self.offer.models,
                revision=self.offer.revision,
                missing=self.offer.missing,
                error=f"{wanted.base.reference}: {error.message}"[:_MAX_ERROR],
            )
            return _RETRY_S
        for version in wanted.adapters:
            try:
                leases.append(await self._acquire(version))
            except ServiceError as error:
                log.warning("adapter not fetched ahead", version=version.reference, error=error.message)
        if self._wanted is not wanted:
            for lease in leases:
                lease.release()
            return 0.0
        # Kept until this process is replaced, so that nobody makes room with them.
        self._next_base = leases
        log.info("ready to reload", base=wanted.base.reference, revision=wanted.revision)
        self.reload_ready.set()
        return _READ_S

    async def _acquire(self, version: DeployedVersion) -> Lease:
        return await self._cache.acquire(version.digest, self._source.pages(version))


def _renamed(model: ServedModel, name: str, version: str, *, adapter: bool, owner: str) -> ServedModel:
    return msgspec.structs.replace(model, name=name, version=version, adapter=adapter, owner=owner)
