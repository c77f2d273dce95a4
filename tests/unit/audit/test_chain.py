"""Whatever is done to ten thousand rows is found, every time, by the chain and by the newest link that was said."""

import random
from collections.abc import Callable
from typing import Final

import pytest

from services.audit.chain import ROOT, Chain, Link, Written, against

ROWS: Final = 10_000
TRIALS: Final = 6
"""Random places for each damage."""
MANY_TRIALS: Final = 300
CHAIN: Final = Chain(b"a secret of thirty-two characters")
ENTRY: Final = '{{"id":"aud_{0:024x}","phase":"asked","time_ms":{0},"author":"key_ann","object":"/models/m{0}"}}'
WHOLE: Final = tuple(CHAIN.extend(ROOT, (ENTRY.format(number) for number in range(1, ROWS + 1)), 1_000))
HEAD: Final = Link(ROWS, WHOLE[-1].link)

Damage = Callable[[list[Written], random.Random], set[tuple[int, str]]]


def found(rows: list[Written], head: Link = HEAD) -> set[tuple[int, str]]:
    """What a walk over all rows finds, and what the newest link that was said adds."""
    last = Link(rows[-1].number, rows[-1].link) if rows else ROOT
    link_at_head = next((row.link for row in reversed(rows) if row.number == head.number), "")
    return {(fault.number, fault.what) for fault in (*CHAIN.walk(ROOT, rows), *against(head, last, link_at_head))}


def changed(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """One character of an entry."""
    at = chance.randrange(ROWS)
    entry = rows[at].entry
    place = chance.randrange(len(entry))
    other = chance.choice([sign for sign in 'aZ9{" ' if sign != entry[place]])
    rows[at] = rows[at]._replace(entry=entry[:place] + other + entry[place + 1 :])
    return {(at + 1, "changed")}


def deleted(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """One row or several, but not the last."""
    at, count = chance.randrange(ROWS - 100), chance.choice((1, 1, 7, 50))
    del rows[at : at + count]
    return {(at + 1, "missing")}


def deleted_and_closed(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """A row, and those behind it numbered anew so that no gap shows."""
    at = chance.randrange(ROWS - 1)
    del rows[at]
    rows[at:] = [row._replace(number=row.number - 1) for row in rows[at:]]
    return {*((row.number, "changed") for row in rows[at:]), (ROWS, "cut_off")}


def reordered(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """Two neighbours, each under the number of the other."""
    at = chance.randrange(ROWS - 2)
    one, other = rows[at], rows[at + 1]
    rows[at], rows[at + 1] = other._replace(number=one.number), one._replace(number=other.number)
    return {(at + 1, "changed"), (at + 2, "changed"), (at + 3, "changed")}


def swapped(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """The words of two rows far apart, each in the place of the other."""
    at, to = sorted(chance.sample(range(ROWS), 2))
    one, other = rows[at], rows[to]
    rows[at], rows[to] = one._replace(entry=other.entry), other._replace(entry=one.entry)
    return {(at + 1, "changed"), (to + 1, "changed")}


def inserted(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """A row more, linked with another key, and those behind it numbered anew."""
    at = chance.randrange(1, ROWS)
    before = rows[at - 1]
    forged = Chain(b"another secret of many characters").extend(Link(at, before.link), [ENTRY.format(0)], 1_000)
    rows[at:] = [*forged, *(row._replace(number=row.number + 1) for row in rows[at:])]
    # The last row now stands where nothing was said yet; the row at the number that was said is another one.
    return {*((row.number, "changed") for row in rows[at:]), (ROWS, "replaced")}


def backdated(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """When a row was recorded."""
    at = chance.randrange(ROWS)
    rows[at] = rows[at]._replace(recorded_ms=rows[at].recorded_ms - chance.randrange(1, 1_000))
    return {(at + 1, "changed")}


def truncated(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """The newest rows, or all."""
    at = chance.choice((0, ROWS - 1, chance.randrange(ROWS)))
    del rows[at:]
    return {(at + 1, "cut_off")}


def rewritten(rows: list[Written], chance: random.Random) -> set[tuple[int, str]]:
    """Everything behind a row, by somebody who has the key."""
    at = chance.randrange(ROWS)
    head = Link(at, rows[at - 1].link) if at else ROOT
    rows[at:] = CHAIN.extend(head, (ENTRY.format(7) for _ in rows[at:]), 1_000)
    return {(ROWS, "replaced")}


DAMAGES: Final[tuple[Damage, ...]] = (
    changed, deleted, deleted_and_closed, reordered, swapped, inserted, backdated, truncated, rewritten,
)  # fmt: skip


def test_a_whole_chain_has_no_fault() -> None:
    assert found(list(WHOLE)) == set()


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
@pytest.mark.parametrize("trials", [TRIALS, pytest.param(MANY_TRIALS, marks=pytest.mark.slow)])
def test_whatever_is_done_to_ten_thousand_rows_is_found_every_time(damage: Damage, trials: int) -> None:
    chance = random.Random(f"{damage.__name__} {trials}")
    for _ in range(trials):
        rows = list(WHOLE)
        expected = damage(rows, chance)
        assert found(rows) == expected


def test_two_damages_are_both_found() -> None:
    chance = random.Random(7)
    for _ in range(TRIALS):
        rows = list(WHOLE)
        first = chance.randrange(5_000)
        second = chance.randrange(5_100, ROWS - 1)
        rows[first] = rows[first]._replace(recorded_ms=1)
        del rows[second]
        assert found(rows) == {(first + 1, "changed"), (second + 1, "missing")}


def test_a_walk_in_pieces_finds_what_one_walk_finds() -> None:
    rows = list(WHOLE)
    rows[4_999] = rows[4_999]._replace(entry="{}")
    del rows[6_999]
    faults, place = set(), ROOT
    for begin in range(0, len(rows), 997):
        piece = rows[begin : begin + 997]
        faults |= {(fault.number, fault.what) for fault in CHAIN.walk(place, piece)}
        place = Link(piece[-1].number, piece[-1].link)
    assert faults == {(5_000, "changed"), (7_000, "missing")}
