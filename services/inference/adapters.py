"""The adapters of one engine: fetched, loaded, offered once confirmed, and removed when nobody uses them any more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from libs.kit.fetch.cache import Cache, Lease

from libs.contracts.registry import DeployedVersion, Kind
from libs.contracts.versions import BadReferenceError, parse_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.fetch import Pages
from services.inference.engine import Engine

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


class Pager(Protocol):
    """Knows how to ask for a version's bytes."""

    def pages(self, version: DeployedVersion) -> Pages:
        """Asks for the URLs of `version`."""


@dataclass
class _Failure:
    """Why an adapter is not loaded, and when to try again."""

    error: ServiceError
    pause_s: float
    due_s: float


class Adapters:
    """What the engine has loaded beside its base; used by one task at a time."""

    def __init__(self, engine: Engine, cache: Cache, source: Pager, base: DeployedVersion) -> None:
        self._engine = engine
        self._cache = cache
        self._source = source
        self._base = base
        self._loaded: dict[str, Lease] = {}
        self._failures: dict[str, _Failure] = {}

    def has(self, reference: str) -> bool:
        """Whether the engine has confirmed it."""
        return reference in self._loaded

    @property
    def loaded(self) -> tuple[str, ...]:
        """Everything that the engine has, in the order of loading."""
        return tuple(self._loaded)

    async def load(self, version: DeployedVersion) -> None:
        """Fetch it and have the engine confirm it; a version that failed lately is left alone for a while.

        Raises:
            ServiceError: why it is not loaded; the engine goes on without it.
        """
        failure = self._failures.get(version.reference)
        if failure is not None and clock.monotonic_s() < failure.due_s:
            raise failure.error
        try:
            self._loaded[version.reference] = await self._confirmed(version)
        except ServiceError as error:
            pause_s = min(_LONGEST_PAUSE_S, failure.pause_s * 2) if failure else _FIRST_PAUSE_S
            self._failures[version.reference] = _Failure(error, pause_s, clock.monotonic_s() + pause_s)
            log.error("adapter not loaded", version=version.reference, error=error.message, again_in_s=pause_s)
            raise
        self._failures.pop(version.reference, None)
        log.info("adapter loaded", version=version.reference)

    async def unload_all_but(self, wanted: set[str], uses: Callable[[str], bool]) -> bool:
        """Remove what is neither `wanted` nor in use; whether something in use remains to be removed."""
        for reference in self._failures.keys() - wanted:
            del self._failures[reference]
        remains = False
        for reference in [reference for reference in self._loaded if reference not in wanted]:
            if uses(reference):
                remains = True
                continue
            lease = self._loaded.pop(reference)
            await self._engine.remove_adapter(reference)
            lease.release()
            log.info("adapter removed", version=reference)
        return remains

    async def _confirmed(self, version: DeployedVersion) -> Lease:
        lease = await self._cache.acquire(version.digest, self._source.pages(version))
        try:
            self._check_base(version, lease)
            await self._engine.add_adapter(version.reference, lease.directory)
        except BaseException:
            lease.release()
            raise
        return lease

    def _check_base(self, version: DeployedVersion, lease: Lease) -> None:
        try:
            base = parse_reference(lease.manifest.base).digest
        except BadReferenceError:
            base = ""
        if lease.manifest.kind is not Kind.ADAPTER or not base or not self._base.digest.startswith(base):
            raise ServiceError(
                "incompatible_base",
                f"{version.reference} is no adapter of {self._base.reference}, but a {lease.manifest.kind} of "
                f"{lease.manifest.base or 'nothing'}.",
            )
