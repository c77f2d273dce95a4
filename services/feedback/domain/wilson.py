"""How far an approval may be trusted: Wilson's score interval (doi:10.2307/2276774)."""

import math
from typing import Final

_Z_95: Final = 1.959963984540054
"""Quantile of the normal distribution for 95 % on both sides."""


def interval(successes: int, trials: int) -> tuple[float, float] | None:
    """Low and high end of the 95 % interval for a share, both in 0..1; None without trials."""
    if trials <= 0:
        return None
    share, z2 = successes / trials, _Z_95 * _Z_95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    # Rounding must not put the share outside its own interval at 0 and 1.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
