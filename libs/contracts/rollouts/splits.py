"""How gateways are told to divide requests, and what they say of each request that was divided."""

from typing import Literal

import msgspec


class Split(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One running rollout, as gateways are told of it."""

    rollout: str
    names: tuple[str, ...]
    """Names that clients ask for and that are divided; a request for an exact version never is."""
    step: int
    """Index in the plan; one more than the last while a promoted version is watched."""
    share: float
    """From 0 to 1: of the hash space, the part that begins at 0 belongs to the candidate (or is mirrored to it)."""
    candidate: str
    """`<name>@sha256:<12 hex>`."""
    baseline: str
    """The last good version, in the same form; it answers everybody else under its own reference."""
    shadow: bool = False


class Splits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All running rollouts. A gateway that hears none for `SPLITS_TTL_S` divides no more: the champion answers."""

    epoch: int
    """Of the process that speaks; what an earlier one says is not heard any more."""
    sequence: int
    """Counts up by one per message of an epoch."""
    splits: tuple[Split, ...] = ()


SPLITS_EVERY_S = 1.0
SPLITS_TTL_S = 15.0


class RequestObserved(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How one request of a running rollout ended, for either version, or of one that was mirrored."""

    id: str
    """Event id: `<request>-observed`."""
    time_ms: int
    request_id: str
    rollout: str
    step: int
    sticky: str = ""
    """Stands for what kept its version (an episode, a user, a request), so that it can be told how many there were."""
    arm: Literal["candidate", "baseline"]
    model_version: str
    """What answered; empty if nothing did."""
    outcome: Literal["ok", "error", "cancelled"]
    mirror: bool = False
    """Nobody was shown this answer."""
    fault: bool = False
    """The error is one of the platform or of the version, not of the client."""
    error_code: str = ""
    first_token_ms: int = 0
    """From arrival to the first byte for the client; 0 if there was none or it is not known."""
    total_ms: int = 0
    completion_tokens: int = 0
    stream: bool = False
    agreement: float | None = None
    """Of a mirrored answer with the one that was shown: F1 of their words, 0 to 1; None where a text is missing."""
