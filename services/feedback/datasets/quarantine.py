"""Seventh step: what keeps a few raters from deciding what a model learns."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from libs.contracts.datasets import Quarantine

_FAIR_SHARES: Final = 2.0
NOBODY: Final = -1
RULES: Final = ("", "rater_rows", "rater_share")


@dataclass(frozen=True)
class Verdicts:
    """What the quarantine decided, by row."""

    rules: npt.NDArray[np.int8]
    """For each row the rule that keeps it out: an index into `RULES`, 0 for none."""
    owners: npt.NDArray[np.int64]
    """The rater each row is charged to; -1 for nobody."""
    raters: int
    """How many raters have rows."""
    share_cap: float
    """The share that no untrusted rater exceeds; 1 if there is none."""
    rows_cap: int
    """Rows per rater; 0 if there is no bound."""
    put_aside: dict[int, Counter[str]] = field(default_factory=dict)
    """Rater → reason → rows."""


def bursts(counts: Iterable[tuple[str, int, int]], rules: Quarantine) -> frozenset[tuple[str, int]]:
    """The minutes of raters that recorded too many signals, from counts of (rater, minute, signals)."""
    if not rules.enabled:
        return frozenset()
    return frozenset(
        (rater, minute)
        for rater, minute, count in counts
        if count > rules.max_burst_per_min and rater not in rules.trusted_raters
    )


def effective_share(rules: Quarantine, raters: int) -> float:
    """The share one rater may have: the one asked for, or twice a fair share where there are too few raters for it."""
    if not raters or raters < rules.min_raters_for_share:
        return 1.0
    return min(1.0, max(rules.max_rater_share, _FAIR_SHARES / raters))


def rows_for_share(counts: Sequence[int], free: int, share: float) -> int:
    """The most rows K per rater such that K is at most `share` of what is left when every rater is cut to K.

    `free` rows belong to nobody or to trusted raters and are never cut.
    K / rows left grows with K, so that halving finds it.
    """
    low, high = 0, max(counts, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        left = free + sum(min(count, middle) for count in counts)
        if middle <= share * left:
            low = middle
        else:
            high = middle - 1
    return low


def admit(rows: Iterable[Sequence[Sequence[int]]], trusted: frozenset[int], rules: Quarantine) -> Verdicts:
    """Decide which rows stay, oldest row first; a row comes with its sides, a side with the raters who decided it.

    Of a side that rater answers who has the fewest rows so far (then the smaller number), so that somebody who agrees
    with others cannot push their rows out. A pair has two sides and is charged to the answer with more rows, for one
    side is enough to spoil it. A rater's oldest rows stay.
    """
    owners, charged = _charge(rows, trusted)
    share = effective_share(rules, len(charged)) if rules.enabled else 1.0
    free = sum(1 for owner in owners if owner == NOBODY)
    rows_cap = rules.max_rater_rows if rules.enabled else 0
    share_rows = rows_for_share([min(c, rows_cap or c) for c in charged.values()], free, share) if share < 1 else 0
    kept: Counter[int] = Counter()
    rules_hit = array("b")
    put_aside: dict[int, Counter[str]] = {}
    for owner in owners:
        rule = 0
        if owner != NOBODY and rules.enabled:
            if rows_cap and kept[owner] >= rows_cap:
                rule = 1
            elif share < 1 and kept[owner] >= share_rows:
                rule = 2
        rules_hit.append(rule)
        if rule:
            put_aside.setdefault(owner, Counter())[RULES[rule]] += 1
        else:
            kept[owner] += 1
    caps = [cap for cap in (rows_cap, share_rows if share < 1 else 0) if cap]
    return Verdicts(
        np.frombuffer(rules_hit, dtype=np.int8),
        np.array(owners, dtype=np.int64),
        len(charged),
        share,
        min(caps, default=0),
        put_aside,
    )


def _charge(rows: Iterable[Sequence[Sequence[int]]], trusted: frozenset[int]) -> tuple[list[int], Counter[int]]:
    charged: Counter[int] = Counter()
    owners: list[int] = []
    for sides in rows:
        answering = [
            min(raters, key=lambda rater: (charged[rater], rater))
            for raters in sides
            if raters and trusted.isdisjoint(raters)
        ]
        if not answering:
            owners.append(NOBODY)
            continue
        owner = max(answering, key=lambda rater: (charged[rater], -rater))
        charged[owner] += 1
        owners.append(owner)
    return owners, charged
