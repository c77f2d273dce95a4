"""How patient one pool's scheduler is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times and numbers that the settings decide."""

    accept_timeout_s: float
    beat_timeout_s: float
    grace_s: float
    """How long a suspected worker may take to show that it lives."""
    direct: bool
    """Whether gateways may hand requests to workers themselves while nothing waits."""
    max_doubtful: int
    """Executions of one request that may have started unseen before it is given up."""
