"""The quarantine: bursts, shares and floods, with the defence on and off."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.datasets import Quarantine, Shape
from libs.contracts.feedback import SignalKind
from libs.testkit.judged import START_MS, Crowd, in_order, judged_rows, judgement, row, selection
from services.feedback.datasets.pipeline import Pipeline
from services.feedback.datasets.quarantine import NOBODY, admit, bursts, effective_share, rows_for_share
from services.feedback.datasets.rows import JoinedRow

RULES = Quarantine()
RATERS = 100
FLOOD = 15


def _build(
    rows: list[JoinedRow], directory: Path, *, defended: bool, shape: Shape = Shape.SFT, **rules: object
) -> tuple[Counter[str], Pipeline]:
    """How often each hostile rater's mark is taught, `honest` for everybody else; and the pipeline."""
    for name in ("data", "work"):
        (directory / name).mkdir(parents=True)
    quarantine = msgspec.structs.replace(Quarantine(enabled=defended), **rules)
    counts = Counter((s.rater, s.recorded_ms // 60_000) for one in rows for s in one.signals)
    found = bursts(((rater, minute, count) for (rater, minute), count in counts.items()), quarantine)
    chosen = selection(shape, quarantine=quarantine, splits={"all": 1.0})
    pipeline = Pipeline(chosen, directory / "data", directory / "work", found)
    pipeline.feed(in_order(rows))
    pipeline.finish()
    taught: Counter[str] = Counter()
    for line in (directory / "data" / "all.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        last = (record.get("chosen") or record.get("completion") or record["messages"])[-1]["content"]
        taught[last.split()[0] if last.startswith("evil") else "honest"] += 1
    return taught, pipeline


@pytest.mark.parametrize("percent", [5, 10, 20])
@pytest.mark.parametrize("shape", [Shape.SFT, Shape.PREFERENCE, Shape.KTO])
def test_flooding_raters_stay_under_the_cap_with_the_defence_and_not_without(
    percent: int, shape: Shape, tmp_path: Path
) -> None:
    """The cap that the manifest states is each rater's; together they hold at most as many caps as they are."""
    crowd = Crowd(honest=RATERS - percent, hostile=percent, flood=FLOOD)
    rows = list(judged_rows(3_000, crowd=crowd))
    together, cap = {}, 0.0
    for defended in (True, False):
        taught, pipeline = _build(rows, tmp_path / str(defended), defended=defended, shape=shape)
        total = taught.total()
        worst = max(count for rater, count in taught.items() if rater != "honest")
        together[defended] = 1 - taught["honest"] / total
        if defended:
            cap = json.loads((tmp_path / "True/data/manifest.json").read_bytes())["quarantine"]["share_cap"]
            assert RULES.max_rater_share <= cap <= 1.5 * RULES.max_rater_share
            assert worst <= cap * total
            assert pipeline.tally.reasons["rater_share"] > 0
        else:
            assert worst > cap * total
    assert together[True] <= percent * cap < together[False]


def test_a_burst_does_not_even_get_to_vote(tmp_path: Path) -> None:
    """Forty thumbs down in one minute do not overrule one thumb up each; without the defence they tie with it."""
    moment = {"time_ms": START_MS, "recorded_ms": START_MS}
    rows = [
        row(
            number,
            f"question {number}",
            f"answer number {number} stands",
            [
                judgement(number, SignalKind.THUMB, True, f"r{number % 8}"),
                judgement(1_000 + number, SignalKind.THUMB, False, "mob", **moment),
            ],
        )
        for number in range(1, 41)
    ]
    taught, pipeline = _build(rows, tmp_path / "on", defended=True, shape=Shape.KTO)
    assert taught["honest"] == 40
    assert pipeline.tally.raters == {"mob": {"burst": 40}}
    trusted = _build([*rows[:39], row(99, "q", "a", [judgement(99, SignalKind.THUMB, True, "ann")])],
                     tmp_path / "trusted", defended=True, shape=Shape.KTO, trusted_raters=("mob",))  # fmt: skip
    assert trusted[1].tally.reasons["contradicted"] == 39


def test_one_rater_who_repeats_a_demonstration_counts_once_and_a_trusted_one_as_often_as_they_like(
    tmp_path: Path,
) -> None:
    text = "buy this wonderful thing at the shop around the corner because it is the best of all things ever made"
    rows = [
        row(number, f"quite another question {number} " * 9, "given",
            [judgement(number, SignalKind.DEMONSTRATION, text, "eve")])
        for number in range(1, 11)
    ]  # fmt: skip
    _, pipeline = _build(rows, tmp_path / "on", defended=True)
    assert pipeline.tally.counts()["admitted"] == 1
    assert pipeline.tally.reasons["alike_demonstrations"] == 9
    _, pipeline = _build(rows, tmp_path / "trusted", defended=True, trusted_raters=("eve",))
    assert pipeline.tally.counts()["admitted"] == 10
    _, pipeline = _build(rows, tmp_path / "off", defended=False)
    assert pipeline.tally.counts()["admitted"] == 10


def test_a_bound_on_rows_per_rater_keeps_the_oldest(tmp_path: Path) -> None:
    rows = [
        row(n, f"question {n}", f"the answer is {n}", [judgement(n, SignalKind.THUMB, True, "ann")])
        for n in range(1, 6)
    ]
    _, pipeline = _build(rows, tmp_path, defended=True, max_rater_rows=2)
    assert pipeline.tally.reasons["rater_rows"] == 3
    ids = (tmp_path / "data" / "row_ids.txt").read_text(encoding="utf-8").split()
    assert ids == [rows[0].request_id, rows[1].request_id]
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["quarantine"]["put_aside"] == [{"rater": "ann", "put_aside": {"rater_rows": 3}}]
    aside = [json.loads(line) for line in (tmp_path / "data" / "put_aside.jsonl").read_bytes().splitlines()]
    assert aside == [{"id": one.request_id, "reason": "rater_rows"} for one in rows[2:]]


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 300), st.floats(0.01, 1))
def test_the_most_rows_for_a_share_are_just_right(counts: list[int], free: int, share: float) -> None:
    most = rows_for_share(counts, free, share)

    def fits(rows: int) -> bool:
        return rows <= share * (free + sum(min(count, rows) for count in counts))

    assert fits(most)
    assert most == max(counts, default=0) or not fits(most + 1)


@given(
    st.lists(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=2), max_size=200),
    st.frozensets(st.integers(0, 30), max_size=2),
    st.integers(0, 12),
)
def test_nobody_untrusted_is_charged_with_more_than_the_cap(
    rows: list[list[list[int]]], trusted: frozenset[int], most: int
) -> None:
    rules = Quarantine(max_rater_rows=most, min_raters_for_share=5)
    verdicts = admit(rows, trusted, rules)
    kept = Counter(verdicts.owners[verdicts.rules == 0].tolist())
    total = kept.total()
    del kept[NOBODY]
    assert not trusted & set(kept)
    assert all(count <= verdicts.share_cap * total for count in kept.values())
    assert not most or all(count <= most for count in kept.values())
    assert not kept or verdicts.raters < 5 or max(kept.values()) >= 1


def test_a_pair_is_charged_to_the_side_of_the_rater_who_floods() -> None:
    """Whoever judges one half of every pair spoils every pair, whoever judged the other halves."""
    verdicts = admit([[[1], [10 + number]] for number in range(200)], frozenset(), Quarantine(max_rater_rows=5))
    assert set(verdicts.owners.tolist()) == {1}
    assert (verdicts.rules == 0).sum() == 5


def test_who_agrees_with_others_cannot_push_their_rows_out() -> None:
    rows = [[[1, 10 + number]] for number in range(200)]
    assert (admit(rows, frozenset(), Quarantine(max_rater_rows=5)).rules == 0).all()


def test_few_raters_have_no_share_and_more_get_at_least_twice_a_fair_one() -> None:
    assert effective_share(RULES, 0) == 1
    assert effective_share(RULES, 19) == 1
    assert effective_share(RULES, 20) == 0.1
    assert effective_share(RULES, 1_000) == 0.02


def test_with_the_defence_off_everything_is_admitted() -> None:
    assert not admit([[[1]]] * 500, frozenset(), Quarantine(enabled=False)).rules.any()
    assert bursts([("a", 1, 10_000)], Quarantine(enabled=False)) == frozenset()
