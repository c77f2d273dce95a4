"""A rollout while it runs: its states, and the calls that order and steer it."""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.rollouts.plans import Decision, RolloutPlan


class RolloutState(StrEnum):
    """How far a rollout is; `ROLLOUT_TRANSITIONS` says what may follow what."""

    PREPARING = "preparing"
    """Workers load the candidate; nobody is answered by it."""
    RUNNING = "running"
    PAUSED = "paused"
    """The share stays and harm still aborts, but no step is taken."""
    PROMOTING = "promoting"
    """The alias is on its way to the candidate."""
    WATCHING = "watching"
    """The candidate is champion; a part of the traffic still gets the last good version, so that harm is seen."""
    ROLLING_BACK = "rolling_back"
    """The alias is on its way back."""
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"


ROLLOUT_ENDED: Final = frozenset({RolloutState.PROMOTED, RolloutState.ABORTED, RolloutState.ROLLED_BACK})

ROLLOUT_TRANSITIONS: Final[dict[RolloutState, frozenset[RolloutState]]] = {
    RolloutState.PREPARING: frozenset({RolloutState.RUNNING, RolloutState.PROMOTING, RolloutState.ABORTED}),
    RolloutState.RUNNING: frozenset({RolloutState.PAUSED, RolloutState.PROMOTING, RolloutState.ABORTED}),
    RolloutState.PAUSED: frozenset({RolloutState.RUNNING, RolloutState.PROMOTING, RolloutState.ABORTED}),
    RolloutState.PROMOTING: frozenset(
        {RolloutState.WATCHING, RolloutState.PROMOTED, RolloutState.ABORTED, RolloutState.ROLLING_BACK}
    ),
    RolloutState.WATCHING: frozenset({RolloutState.PROMOTED, RolloutState.ROLLING_BACK}),
    RolloutState.ROLLING_BACK: frozenset({RolloutState.ROLLED_BACK, RolloutState.ABORTED}),
    RolloutState.PROMOTED: frozenset({RolloutState.ROLLING_BACK}),
    RolloutState.ABORTED: frozenset(),
    RolloutState.ROLLED_BACK: frozenset(),
}
"""A promoted version may be taken back by hand as long as the alias still points to it. Promoting and rolling back
end as aborted where somebody else moved the alias meanwhile: it stays where they put it."""


class Rollout(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One rollout as lists show it."""

    id: str
    """`roll_<24 hex>`."""
    state: RolloutState
    plan: RolloutPlan
    """Its candidate made exact when it was ordered."""
    author: str
    created_ms: int
    changed_ms: int
    candidate: str = ""
    """`<name>@sha256:<12 hex>`."""
    baseline: str = ""
    """The last good version: what the alias pointed to when it was ordered."""
    step: int = 0
    step_began_ms: int = 0
    turn: str = ""
    """Of the loop that ordered it, if one did."""
    decision: Decision | None = None
    """The newest one that changed something, with its numbers."""
    reason: str = ""
    """Why it is in this state, for people."""
    tenant: str = ""
    """Whose it is; empty: the platform's."""


class RolloutStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A rollout, what one look would say of it now, and every change so far."""

    rollout: Rollout
    now: Decision | None = None
    history: tuple["RolloutChange", ...] = ()
    """Oldest first."""
    agreement: float | None = None
    """Mean over mirrored answers, of their words with those that were shown."""


class RolloutChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change of state or step, and why."""

    time_ms: int
    state: RolloutState
    step: int = 0
    author: str = ""
    """Empty: decided by itself."""
    reason: str = ""
    decision: Decision | None = None


class OrderRollout(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Begin a rollout; a repeat with the same `id` gives the same one. One at a time per name."""

    plan: RolloutPlan
    author: str
    id: str = ""
    """`roll_<24 hex>`; empty: a fresh one."""
    turn: str = ""
    tenant: str = ""
    """Who orders it, and whose it is; empty: the platform."""


class RolloutRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which rollout."""

    id: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class SteerRollout(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A person's word: pause, resume, promote, abort or roll back."""

    id: str
    author: str
    reason: str = ""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class FindRollouts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    name: str = ""
    state: RolloutState | None = None
    before: str = ""
    limit: int = 100
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class RolloutPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    rollouts: tuple[Rollout, ...]
    next: str = ""


class RolloutChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout came into a state or a step; said once per change, from the outbox."""

    id: str
    time_ms: int
    rollout: Rollout
