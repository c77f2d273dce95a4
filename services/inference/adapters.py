"""The adapters of one engine: fetched, loaded, offered once confirmed, and removed when nobody uses them any more."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from libs.contracts.registry import DeployedVersion, Kind
from libs.contracts.versions import BadReferenceError, parse_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.fetch import Pages
from libs.kit.fetch.cache import Cache, Lease
from services.inference.engine import Engine

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_FETCHES: Final = 8
"""Adapters that are fetched at the same time."""


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
    """What the engine has loaded beside its base.

    Each is fetched in a task of its own, so that one whose bytes do not come holds up no other; the engine itself
    changes one at a time.
    """

    def __init__(
        self, engine: Engine, cache: Cache, source: Pager, base: DeployedVersion, on_change: Callable[[], None]
    ) -> None:
        """Begin with none; `on_change` hears that one was loaded or has failed."""
        self._engine = engine
        self._cache = cache
        self._source = source
        self._base = base
        self._on_change = on_change
        self._wanted: frozenset[str] = frozenset()
        self._loaded: dict[str, Lease] = {}
        self._failures: dict[str, _Failure] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_FETCHES)
        self._turn = asyncio.Lock()

    def has(self, reference: str) -> bool:
        """Whether the engine has confirmed it."""
        return reference in self._loaded

    def is_settled(self, reference: str) -> bool:
        """Whether it was loaded, or could not be at least once."""
        return reference in self._loaded or reference in self._failures

    def error(self, reference: str) -> str:
        """Why the last try to load it failed; empty if it did not."""
        failure = self._failures.get(reference)
        return failure.error.message if failure is not None else ""

    @property
    def loaded(self) -> tuple[str, ...]:
        """Everything that the engine has, in the order of loading."""
        return tuple(self._loaded)

    def want(self, versions: Sequence[DeployedVersion]) -> None:
        """From here on want these and no others; those that failed lately are left alone for a while."""
        self._wanted = frozenset(version.reference for version in versions)
        for reference in self._failures.keys() - self._wanted:
            del self._failures[reference]
        for version in versions:
            reference = version.reference
            failure = self._failures.get(reference)
            waits = failure is not None and clock.monotonic_s() < failure.due_s
            if reference not in self._loaded and reference not in self._loading and not waits:
                self._loading[reference] = asyncio.create_task(self._load(version), name=f"adapter-{reference}")

    async def remove_unwanted(self, uses: Callable[[str], bool]) -> bool:
        """Remove what is neither wanted nor in use; whether something in use remains to be removed."""
        remains = False
        for reference in list(self._loaded):
            # Asked for each anew: it may have been wanted again while another was removed.
            if reference in self._wanted:
                continue
            if uses(reference):
                remains = True
                continue
            lease = self._loaded.pop(reference)
            async with self._turn:
                await self._engine.remove_adapter(reference)
            lease.release()
            log.info("adapter removed", version=reference)
        return remains

    def stop(self) -> None:
        """Load nothing any more."""
        for task in self._loading.values():
            task.cancel()

    async def ended(self) -> None:
        """Wait until nothing is on its way any more."""
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def _load(self, version: DeployedVersion) -> None:
        reference = version.reference
        try:
            async with self._room:
                lease = await self._fetched(version)
            await self._add(reference, lease)
        except ServiceError as error:
            self._note(reference, error)
        except Exception as error:
            # An engine may raise anything; what one adapter does to it must not end this task unheard.
            log.exception("adapter not loaded", version=reference)
            self._note(reference, ServiceError("engine_error", f"{type(error).__name__}: {error}"))
        finally:
            del self._loading[reference]
            self._on_change()

    async def _fetched(self, version: DeployedVersion) -> Lease:
        lease = await self._cache.acquire(version.digest, self._source.pages(version))
        try:
            self._check_base(version, lease)
        except BaseException:
            lease.release()
            raise
        return lease

    async def _add(self, reference: str, lease: Lease) -> None:
        """Have the engine confirm it, unless nobody wants it any more."""
        kept = False
        try:
            async with self._turn:
                if reference not in self._wanted:
                    return
                await self._engine.add_adapter(reference, lease.directory)
            self._loaded[reference] = lease
            self._failures.pop(reference, None)
            kept = True
            log.info("adapter loaded", version=reference)
        finally:
            if not kept:
                lease.release()

    def _note(self, reference: str, error: ServiceError) -> None:
        before = self._failures.get(reference)
        pause_s = min(_LONGEST_PAUSE_S, before.pause_s * 2) if before else _FIRST_PAUSE_S
        log.error("adapter not loaded", version=reference, error=error.message, again_in_s=pause_s)
        if reference in self._wanted:
            self._failures[reference] = _Failure(error, pause_s, clock.monotonic_s() + pause_s)

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
