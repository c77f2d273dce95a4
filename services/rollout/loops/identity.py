"""Names of what a turn orders, derived from its own, so that an order that is repeated is known as one."""

import hashlib
from typing import Final

_DIGITS: Final = 24


def dataset_job_id(turn_id: str) -> str:
    """Of the build of its data set."""
    return f"job_{_digest(turn_id, 'dataset')}"


def training_id(turn_id: str) -> str:
    """Of its training."""
    return f"job_{_digest(turn_id, 'training')}"


def rollout_id(turn_id: str) -> str:
    """Of its rollout."""
    return f"roll_{_digest(turn_id, 'rollout')}"


def _digest(turn_id: str, what: str) -> str:
    return hashlib.sha256(f"{turn_id} {what}".encode()).hexdigest()[:_DIGITS]
