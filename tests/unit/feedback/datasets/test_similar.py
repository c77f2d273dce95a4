"""Duplicates: exact ones beside a plain count, near ones beside true Jaccard similarity of all pairs."""

import itertools
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.kit.shingles import shingles
from libs.testkit.judged import words
from services.feedback.datasets.similar import (
    Sketcher,
    SketchFile,
    oldest_of_clusters,
    resolve_equal,
)


def _jaccard(one: str, other: str) -> float:
    left, right = set(shingles(one)), set(shingles(other))
    return len(left & right) / len(left | right)


def _clusters(texts: list[str], ranks: list[int], threshold: float, salts: list[int] | None = None) -> list[int]:
    sketcher = Sketcher()
    sketches = np.array([sketcher.sketch(text) for text in texts])
    rows = np.arange(len(texts), dtype=np.int64)
    found = oldest_of_clusters(
        sketches, np.array(salts or [1] * len(texts), dtype=np.uint64), rows, np.array(ranks, dtype=np.int64), threshold
    )
    return [int(one) for one in found]


def _variants(chance: random.Random, families: int, size: int) -> list[str]:
    texts = []
    for _ in range(families):
        base = words(chance, 80).split()
        for _ in range(size):
            changed = base.copy()
            for _ in range(chance.randrange(4)):
                changed[chance.randrange(len(changed))] = words(chance, 1)
            texts.append(" ".join(changed))
    return texts


def test_near_duplicates_are_found_and_others_are_left_alone() -> None:
    texts = _variants(random.Random(3), families=150, size=4)
    roots = _clusters(texts, list(range(len(texts))), 0.85)
    missed = wrong = close = 0
    for left, right in itertools.combinations(range(len(texts)), 2):
        if left // 4 != right // 4:
            assert roots[left] != roots[right], "texts of different families"
            continue
        truth = _jaccard(texts[left], texts[right])
        close += truth >= 0.95
        missed += truth >= 0.95 and roots[left] != roots[right]
        wrong += truth < 0.6 and roots[left] == roots[right]
    assert close > 50
    assert missed <= 0.02 * close
    assert wrong == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_oldest_stays_whatever_the_order(seed: int) -> None:
    chance = random.Random(seed)
    texts = _variants(chance, families=5, size=3)
    ages = list(range(len(texts)))
    chance.shuffle(ages)
    roots = _clusters(texts, ages, 0.8)
    groups = defaultdict(list)
    for index, root in enumerate(roots):
        groups[root].append(index)
    assert all(root == min(members, key=lambda index: ages[index]) for root, members in groups.items())
    order = list(range(len(texts)))
    chance.shuffle(order)
    again = _clusters([texts[index] for index in order], [ages[index] for index in order], 0.8)
    assert {order[index]: order[root] for index, root in enumerate(again)} == dict(enumerate(roots))


def test_salts_keep_equal_texts_apart() -> None:
    assert _clusters(["one two three four"] * 3, [2, 1, 0], 0.85, [7, 7, 8]) == [1, 1, 2]


@given(st.text(max_size=60))
def test_every_text_has_shingles_and_is_like_itself(text: str) -> None:
    assert shingles(text)
    assert _clusters([text, text], [0, 1], 0.9) == [0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_equal_rows_leave_one_of_the_verdict_with_more_raters(
    rows: list[tuple[int, bool, int]], chance: random.Random
) -> None:
    ranks = list(range(len(rows)))
    chance.shuffle(ranks)
    digests = np.array([(text, text) for text, _, _ in rows], dtype=np.uint64).reshape(-1, 2)
    bad = np.array([verdict for _, verdict, _ in rows], dtype=np.bool_)
    raters = np.array([rater for _, _, rater in rows], dtype=np.int64)
    stay, contradicted = resolve_equal(digests, bad, raters, np.array(ranks, dtype=np.int64))
    expected, against = set(), set()
    for text in {text for text, _, _ in rows}:
        sides = {verdict: [i for i, one in enumerate(rows) if one[:2] == (text, verdict)] for verdict in (True, False)}
        votes = {verdict: len({rows[i][2] for i in side}) for verdict, side in sides.items()}
        if votes[True] == votes[False]:
            against |= set(sides[True]) | set(sides[False])
            continue
        winner = votes[True] > votes[False]
        expected.add(min(sides[winner], key=lambda index: ranks[index]))
        against |= set(sides[not winner])
    assert set(stay.tolist()) == expected
    assert set(contradicted.tolist()) == against


def test_sketches_come_back_from_the_file(tmp_path: Path) -> None:
    file, sketcher = SketchFile(tmp_path / "sketches"), Sketcher()
    made = [sketcher.sketch(text) for text in ("one two three", "vier fünf sechs", "一二三四五六七")]
    for sketch in made:
        file.add(sketch)
    file.skip()
    found = file.read()
    assert np.array_equal(found[:3], made)
    assert not found[3].any()
