"""What a supervisor tells the world about its stack, in `state.json`, replaced as a whole at each change."""

from enum import StrEnum
from typing import Final

import msgspec

from deploy.local.home import Home, write_private

VERSION: Final = 1


class Phase(StrEnum):
    """Where the stack as a whole is."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class PartPhase(StrEnum):
    """Where one process is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class PartState(msgspec.Struct, kw_only=True):
    """One process as the supervisor sees it."""

    name: str
    title: str
    phase: PartPhase = PartPhase.WAITING
    pid: int = 0
    ports: dict[str, int] = {}
    restarts: int = 0
    """How often it has died and been started again since the stack came up."""
    started_ms: int = 0
    """Unix time of its last start."""
    ready_ms: int = 0
    """Unix time at which it was last found ready."""
    detail: str = ""
    """For people: why it is where it is."""


class StackState(msgspec.Struct, kw_only=True):
    """The whole stack."""

    version: int = VERSION
    phase: Phase = Phase.STARTING
    message: str = ""
    """Why, when something is wrong."""
    guardian_pid: int = 0
    supervisor_pid: int = 0
    started_ms: int = 0
    base_url: str = ""
    model: str = ""
    """What clients ask for."""
    model_version: str = ""
    """The version behind it, where the registry was asked; the supervisor itself does not know."""
    from_registry: bool = False
    """Whether workers load what the registry's deployments say."""
    ports: dict[str, int] = {}
    parts: list[PartState] = []


def write(home: Home, state: StackState) -> None:
    """Replace the state on disk."""
    write_private(home.state_file, msgspec.json.encode(state).decode())


def read(home: Home) -> StackState | None:
    """The last state on disk, or None when there is none that can be read."""
    try:
        return msgspec.json.decode(home.state_file.read_bytes(), type=StackState)
    except (OSError, msgspec.DecodeError):
        return None
