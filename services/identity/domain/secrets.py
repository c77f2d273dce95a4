"""API keys: how they are made, shown in part, and recognised."""

import hashlib
from typing import Final

from libs.kit import clock

_SIGN: Final = "llmos-"
"""How every key begins, so that scanners for leaked secrets know one."""
_SHOWN: Final = len(_SIGN) + 6


def new_secret() -> str:
    """A fresh key: 256 bits of chance."""
    return _SIGN + clock.new_secret()


def prefix_of(secret: str) -> str:
    """As much of a key as lists show: enough to tell it from others, far too little to guess the rest."""
    return secret[:_SHOWN]


def digest_of(secret: str) -> str:
    """What is stored of a key. No slow hash: those protect passwords that people choose, and this is chance."""
    return hashlib.sha256(secret.encode()).hexdigest()
