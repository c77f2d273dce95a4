"""What the traces' benchmark has taken, and how far it can be trusted."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ALL: Final = "all"
"""The sum of the parts."""
INSTRUCTIONS: Final = "instructions"
_RESAMPLES: Final = 5_000
_SEED: Final = 20261123
_TAIL: Final = 0.025
LEAST_STARTS: Final = 5
"""Of fewer, what is drawn again is too often the same for an interval to mean anything."""


@dataclass(frozen=True)
class Window:
    """One path in one round: microseconds of each part per request, thousands of instructions of all, requests."""

    spent_us: Mapping[str, float]
    kilo_instructions: float | None
    requests: int

    def values(self) -> dict[str, float]:
        """By what it is that was taken."""
        counted = {} if self.kilo_instructions is None else {INSTRUCTIONS: self.kilo_instructions}
        return {**self.spent_us, ALL: sum(self.spent_us.values()), **counted}


@dataclass(frozen=True)
class Spread:
    """A median, the middle half of what it is of, and 95 % of the medians that other starts might have had.

    There is no interval of too few starts.
    """

    median: float
    quartiles: tuple[float, float]
    interval: tuple[float, float] | None


@dataclass
class Figures:
    """Windows of all starts: a list of rounds for each, by load and way."""

    base: str
    """The way that all are compared with."""
    taken: dict[tuple[str, str], list[list[Window]]] = field(default_factory=dict)

    def add(self, load: str, rounds: Sequence[Mapping[str, Window]]) -> None:
        """Keep the rounds of one start."""
        for way in rounds[0]:
            self.taken.setdefault((load, way), []).append([each[way] for each in rounds])

    def requests(self, load: str) -> float:
        """Of a window, in the median."""
        windows = [each for (of, _), starts in self.taken.items() if of == load for start in starts for each in start]
        return statistics.median(each.requests for each in windows)

    def cost(self, load: str, way: str, what: str) -> float | None:
        """The median per request; None if it could not be taken each time."""
        values = [each.values().get(what) for start in self.taken[load, way] for each in start]
        known = [value for value in values if value is not None]
        return statistics.median(known) if len(known) == len(values) else None

    def ratio(self, load: str, way: str, what: str) -> Spread | None:
        """To the base in the same round; None if it could not be taken each time."""
        if self.cost(load, way, what) is None or self.cost(load, self.base, what) is None:
            return None
        pairs = zip(self.taken[load, way], self.taken[load, self.base], strict=True)
        return spread(
            [
                [one.values()[what] / other.values()[what] for one, other in zip(own, base, strict=True)]
                for own, base in pairs
            ]
        )


def spread(starts: Sequence[Sequence[float]]) -> Spread:
    """Of all values; the interval draws whole starts again, for those of one start share its luck."""
    values = sorted(value for start in starts for value in start)
    quartiles = values[len(values) // 4], values[(3 * len(values)) // 4]
    return Spread(statistics.median(values), quartiles, _interval(starts) if len(starts) >= LEAST_STARTS else None)


def _interval(starts: Sequence[Sequence[float]]) -> tuple[float, float]:
    chance = random.Random(_SEED)  # noqa: S311 - to be repeated, not to be kept secret
    drawn = sorted(
        statistics.median([value for start in chance.choices(starts, k=len(starts)) for value in start])
        for _ in range(_RESAMPLES)
    )
    cut = int(_TAIL * _RESAMPLES)
    return drawn[cut], drawn[-cut - 1]


def verdict(found: Sequence[Spread], aim: float) -> str:
    """Whether the worst of what was found is at most `aim`, as far as it tells."""
    worst = max(found, key=lambda each: each.median)
    told = f"{worst.median:.3f}, {between(worst.interval)}"
    if all(each.interval is not None and each.interval[1] <= aim for each in found):
        return f"met ({told})"
    if worst.interval is not None and worst.interval[0] > aim:
        return f"**missed** ({told})"
    return f"not decided by this run, {'met' if worst.median <= aim else '**missed**'} by its median ({told})"


def between(bounds: tuple[float, float] | None) -> str:
    """Both ends."""
    return f"{bounds[0]:.3f}-{bounds[1]:.3f}" if bounds is not None else "too few starts"
