"""Who gets the candidate: a point per user in a space that is divided exactly."""

import hashlib
from typing import Final

_BYTES: Final = 8
SPACE: Final = 1 << 8 * _BYTES
"""Points there are."""


def point(rollout: str, sticky: str) -> int:
    """Where `sticky` (an episode, else a user, else a request) falls, from 0 to `SPACE` - 1; other in every rollout."""
    text = f"{len(rollout)}:{rollout}{sticky}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BYTES).digest(), "big")


def is_candidates(rollout: str, sticky: str, share: float) -> bool:
    """Whether the candidate answers; whoever has it keeps it when the share grows."""
    return point(rollout, sticky) < round(share * SPACE)
