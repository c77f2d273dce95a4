"""What the worker needs of an engine: an ASGI application, and the truth about what it still runs."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from libs.contracts.inference import ServedModel, Usage

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class EngineRequest(Protocol):
    """What the engine does on behalf of one execution."""

    @property
    def usage(self) -> Usage | None:
        """Tokens spent so far; None while the engine has said nothing."""

    @property
    def refusal(self) -> str:
        """Why the engine would not begin, if the fault is the client's; else empty."""

    @property
    def running(self) -> bool:
        """Whether the engine still holds anything of it."""

    async def abort(self) -> None:
        """Take it out of the engine; return when the engine has confirmed that it no longer runs it."""


class Engine(Protocol):
    """A model server that lives in this process.

    After `start`, `app` answers the routes that `models` name; it is called with one task per request.
    """

    @property
    def app(self) -> ASGIApp:
        """ASGI 3 application with vLLM's HTTP interface."""

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """Every name that may stand in a request's `model`."""

    @property
    def capacity(self) -> int:
        """Executions that it can usefully hold at the same time."""

    @property
    def description(self) -> str:
        """For people: engine, version, device."""

    @property
    def has_adapters(self) -> bool:
        """Whether adapters are enabled; prompt log-probabilities are unsafe then."""

    @property
    def is_dead(self) -> bool:
        """Whether it can never answer again; requests learn of it before `on_fatal` is called."""

    async def start(self, on_fatal: Callable[[str], None]) -> None:
        """Load the model and be ready; `on_fatal` hears, at most once, why the engine can never answer again."""

    async def stop(self) -> None:
        """End the engine and its processes."""

    def open(self, request_id: str) -> EngineRequest:
        """Follow what `app` does from here on in the current task on behalf of `request_id`."""

    async def add_adapter(self, reference: str, directory: Path) -> None:
        """Load the adapter in `directory`, which must stay as it is; `models` has it as `reference` afterwards.

        Raises:
            ServiceError: `engine_error`: the engine does not take it, and goes on without it.
        """

    async def remove_adapter(self, reference: str) -> None:
        """Forget an adapter that no request uses any more; nothing happens if it is not loaded."""


@dataclass(frozen=True, kw_only=True)
class AdapterRoom:
    """How many adapters an engine can hold, and how large."""

    slots: int
    """Different adapters in one batch; 0 turns adapters off."""
    max_rank: int
    """Largest rank of an adapter."""
    resident: int
    """Adapters kept in memory; others are read from disk again when they are asked for."""


class EngineSettings(Protocol):
    """What a factory `module:build` may read."""

    @property
    def reference(self) -> str:
        """The one name under which the base is served, if it came from the registry; else empty."""

    @property
    def adapters(self) -> AdapterRoom | None:
        """Room for adapters that come and go; None leaves it to `engine_args`."""

    @property
    def model(self) -> str:
        """Directory or Hugging Face name."""

    @property
    def model_name(self) -> str:
        """Name under which it is served."""

    @property
    def engine_args(self) -> tuple[str, ...]:
        """Flags for the engine, after our own."""


@dataclass(frozen=True, kw_only=True)
class EngineOrder:
    """What to start; the `EngineSettings` that a factory is given."""

    model: str
    model_name: str
    engine_args: tuple[str, ...] = ()
    reference: str = ""
    adapters: AdapterRoom | None = None


EngineFactory = Callable[[EngineSettings], Engine]
