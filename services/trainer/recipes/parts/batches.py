"""In which order rows are learned: a pure function of the rows' lengths, the recipe and its seed.

Nothing but the number of the step has to be remembered to go on after a stop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from libs.kit.clock import seeded_random
from libs.kit.errors import ServiceError

BUCKET_STEPS: Final = 32
"""Rows of so many steps are sorted by length, so that a batch holds rows alike and little is padding."""


@dataclass(frozen=True)
class Stratum:
    """Rows of one kind, of which every batch holds the same number."""

    numbers: tuple[int, ...]
    """Which rows; one that stands here twice counts twice."""
    rows: int
    """Of every batch."""


def order(strata: Sequence[Stratum], lengths: Sequence[int], steps: int, seed: int) -> list[int]:
    """Numbers of the rows, batch after batch; every stratum is used up before it begins again.

    Args:
        strata: what a batch is made of.
        lengths: of every row, in tokens.
        steps: how many batches.
        seed: of the chance.

    Returns:
        `steps` times the sum of the strata's rows.

    Raises:
        ServiceError: `bad_dataset`, a stratum has no rows.
    """
    rng = seeded_random(seed)
    strata = [stratum for stratum in strata if stratum.rows]
    if not all(stratum.numbers for stratum in strata):
        raise ServiceError("bad_dataset", "A batch needs rows of a kind of which none is left.", param="dataset")
    supplies = [_endless(stratum.numbers, rng) for stratum in strata]
    found: list[int] = []
    for start in range(0, steps, BUCKET_STEPS):
        count = min(BUCKET_STEPS, steps - start)
        batches: list[list[int]] = [[] for _ in range(count)]
        for stratum, supply in zip(strata, supplies, strict=True):
            drawn = sorted((next(supply) for _ in range(count * stratum.rows)), key=lambda number: lengths[number])
            for place in range(count):
                batches[place] += drawn[place * stratum.rows : (place + 1) * stratum.rows]
        rng.shuffle(batches)
        for batch in batches:
            rng.shuffle(batch)
            found += batch
    return found


def shares(batch_rows: int, replay_share: float, *, has_replay: bool) -> tuple[int, int]:
    """How many rows of a batch are the data set's own, and how many are replayed; at least one of each."""
    if not has_replay:
        return batch_rows, 0
    replayed = min(max(1, round(batch_rows * replay_share)), batch_rows - 1)
    return batch_rows - replayed, replayed


def weighted(heavy: Sequence[bool], weight: int) -> tuple[int, ...]:
    """The numbers 0, 1, 2, …, one for each; where it is heavy, `weight` times."""
    return tuple(number for number, counts in enumerate(heavy) for _ in range(weight if counts else 1))


def _endless(numbers: tuple[int, ...], rng: Random) -> Iterator[int]:
    while True:
        once = list(numbers)
        rng.shuffle(once)
        yield from once
