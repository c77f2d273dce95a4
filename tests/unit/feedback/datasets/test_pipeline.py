"""The whole pipeline on rows in memory: a golden data set, files that agree, splits that stay, odd inputs."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.contracts.datasets import Selection, Shape
from libs.contracts.feedback import SignalKind
from libs.kit.errors import ServiceError
from libs.testkit.judged import in_order, judged_rows, judgement, row, selection
from services.feedback.datasets.pipeline import Built, Pipeline
from services.feedback.datasets.rows import JoinedRow

SHOWN_TEXT = "Sent\0 to bob@example.org."
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
THUMB, SCORE, SHOWN = SignalKind.THUMB, SignalKind.SCORE, SignalKind.DEMONSTRATION
ONE = {"all": 1.0}

GOLDEN = [
    row(1, "How do I reset?", "Press the button.", [judgement(1, THUMB, True, "ann")], episode_id="e1"),
    row(2, "My mail is ann@example.org", "Noted, ann@example.org.", [judgement(2, SCORE, 0.9, "ann")], episode_id="e1"),
    row(3, "Mail bob@example.org, not Ann@example.org", "Sch\u00c3\u00b6n.",
        [judgement(3, SHOWN, SHOWN_TEXT, "bob")], episode_id="e1"),
    row(4, "How do I reset?", "No idea.", [judgement(4, THUMB, False, "bob")], episode_id="e2"),
    row(5, "How do I reset?", "Press the button.", [judgement(5, THUMB, True, "eve")]),
    row(6, "Is it safe?", "Yes.", [judgement(6, THUMB, True, "ann"), judgement(60, THUMB, False, "bob")]),
    row(7, "Nobody judged", "this.", []),
    row(8, "Same?", "Same.", [judgement(8, SHOWN, "Same.", "bob")]),
    row(9, "Cut off?", "It ends in the mid", [judgement(9, THUMB, True, "ann")], truncated=True),
    row(10, "Picture?", "A cat.", [judgement(10, THUMB, True, "ann")], messages=PICTURE),
]  # fmt: skip


def _ids(*numbers: int) -> list[str]:
    return [f"{number:024x}" for number in numbers]


def _run(rows: list[JoinedRow], directory: Path, chosen: Selection) -> Built:
    for name in ("data", "work"):
        (directory / name).mkdir(parents=True)
    pipeline = Pipeline(chosen, directory / "data", directory / "work")
    pipeline.feed(in_order(rows))
    return pipeline.finish()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _said(message: dict[str, Any]) -> str:
    return f"{message['role']}: {message['content']}"


def _golden(shape: Shape, directory: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    _run(GOLDEN, directory, selection(shape, splits=ONE))
    aside = {one["id"]: one["reason"] for one in _lines(directory / "data" / "put_aside.jsonl")}
    return _lines(directory / "data" / "all.jsonl"), aside


def test_golden_sft(tmp_path: Path) -> None:
    rows, aside = _golden(Shape.SFT, tmp_path)
    assert [one["id"] for one in rows] == _ids(8, 1, 2, 3)
    assert [[_said(message) for message in one["messages"]] for one in rows] == [
        ["user: Same?", "assistant: Same."],
        ["user: How do I reset?", "assistant: Press the button."],
        ["user: My mail is <email-1>", "assistant: Noted, <email-1>."],
        ["user: Mail <email-2>, not <email-1>", "assistant: Sent to <email-2>."],
    ]
    assert [one["demonstration"] for one in rows] == [True, False, False, True]
    assert aside == dict(
        zip(
            _ids(4, 5, 6, 9, 10),
            ("judged_badly", "equal", "contradicted", "truncated", "not_text"),
            strict=True,
        )
    )
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"] == {
        "read": 10, "selected": 10, "judged": 9, "labelled": 8, "sound": 6, "distinct": 5, "usable": 4,
        "dissimilar": 4, "admitted": 4, "split.all": 4,
    }  # fmt: skip
    assert manifest["redacted"] == {"email": 5}
    assert manifest["strata"] == {"all": {"demonstration": 2, "up": 2}}
    assert manifest["selection"]["shape"] == "sft"


def test_golden_preference(tmp_path: Path) -> None:
    rows, aside = _golden(Shape.PREFERENCE, tmp_path)
    assert [(one["id"], one["rejected_id"]) for one in rows] == [tuple(_ids(1, 4)), tuple(_ids(3, 3))]
    assert [(_said(one["chosen"][0]), _said(one["rejected"][0])) for one in rows] == [
        ("assistant: Press the button.", "assistant: No idea."),
        ("assistant: Sent to <email-2>.", "assistant: Schön."),
    ]
    assert [one["demonstration"] for one in rows] == [False, True]
    assert aside[_ids(8)[0]] == "equal_answers"
    assert aside[_ids(2)[0]] == "unpaired"
    assert (tmp_path / "data" / "row_ids.txt").read_text(encoding="utf-8").split() == _ids(1, 3, 4)


def test_golden_kto_and_evaluation(tmp_path: Path) -> None:
    rows, _ = _golden(Shape.KTO, tmp_path / "kto")
    assert [(one["id"], one["label"]) for one in rows] == list(
        zip(_ids(8, 1, 2, 3, 4), (True, True, True, True, False), strict=True)
    )
    assert [one["demonstration"] for one in rows] == [True, False, False, True, False]
    rows, _ = _golden(Shape.EVALUATION, tmp_path / "evaluation")
    assert [one["reference"] for one in rows][-1] == "Sent to <email-2>."
    assert next(_said(one["messages"][-1]) for one in rows) == "user: Same?"


def test_golden_raw_shows_what_happened(tmp_path: Path) -> None:
    rows, aside = _golden(Shape.RAW, tmp_path)
    assert len(rows) == 9
    assert list(aside.values()) == ["not_text"]
    assert {one["id"]: one["signals"] for one in rows}[_ids(7)[0]] == []
    shown = next(one for one in rows if one["id"] == _ids(3)[0])
    assert (shown["episode"], shown["signals"][0]["value"]) == ("e1", "Sent to <email-2>.")


@pytest.mark.parametrize("shape", Shape)
def test_parquet_and_jsonl_hold_the_same(shape: Shape, tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"role": "assistant", "content": "", "tool_calls": [call]}
    rows = [*judged_rows(300), row(999, "call it", "", [judgement(999, THUMB, True, "r")], answer=answer)]
    _run(rows, tmp_path, selection(shape))
    for split in ("train", "test"):
        lines = _lines(tmp_path / "data" / f"{split}.jsonl")
        table = pq.read_table(tmp_path / "data" / f"{split}.parquet").to_pylist()
        assert [one["id"] for one in lines] == [one["id"] for one in table]
        assert lines
        for left, right in zip(lines, table, strict=True):
            assert set(left) == set(right)
            for name, value in left.items():
                if name == "signals":
                    assert json.loads(right[name]) == value
                elif isinstance(value, list):
                    assert [_plain(one) for one in right[name]] == value
                else:
                    assert right[name] == value


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    held = {name: value for name, value in message.items() if value is not None}
    return held | ({"tool_calls": json.loads(held["tool_calls"])} if "tool_calls" in held else {})


def _splits(directory: Path, chosen: Selection) -> dict[str, str]:
    return {one["id"]: split for split in chosen.splits for one in _lines(directory / "data" / f"{split}.jsonl")}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1_000), count=st.integers(60, 200), more=st.integers(1, 200))
def test_more_rows_move_no_row_between_splits_and_no_episode_straddles(
    seed: int, count: int, more: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = list(judged_rows(count + more, seed))
    chosen = selection(Shape.KTO, splits={"train": 0.7, "test": 0.3}, seed=seed)
    few, many = (tmp_path_factory.mktemp(name) for name in ("few", "many"))
    _run(rows[:count], few, chosen)
    _run(rows, many, chosen)
    before, after = _splits(few, chosen), _splits(many, chosen)
    shared = before.keys() & after.keys()
    assert len(shared) >= count // 2
    assert all(before[one] == after[one] for one in shared)
    places: dict[str, set[str]] = {}
    for one in rows:
        if one.request_id in after:
            places.setdefault(one.unit, set()).add(after[one.request_id])
    assert all(len(found) == 1 for found in places.values())


def test_no_pair_straddles_splits(tmp_path: Path) -> None:
    chosen = selection(Shape.PREFERENCE, splits={"train": 0.5, "test": 0.5})
    rows = list(judged_rows(2_000))
    _run(rows, tmp_path, chosen)
    units = {one.request_id: one.unit for one in rows}
    places: dict[str, set[str]] = {}
    pairs = 0
    for split in chosen.splits:
        for one in _lines(tmp_path / "data" / f"{split}.jsonl"):
            pairs += one["id"] != one["rejected_id"]
            for request_id in (one["id"], one["rejected_id"]):
                places.setdefault(units[request_id], set()).add(split)
    assert pairs > 20
    assert all(len(found) == 1 for found in places.values())


ODD = st.text(alphabet=st.characters() | st.sampled_from("\0\x1b\ud800\ufffd\u202e'\"{}$%<>;-"), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ODD, ODD, ODD, JSON, JSON, st.sampled_from(Shape)), min_size=1, max_size=6))
def test_odd_inputs_become_rows_or_are_put_aside_and_no_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[str, str, str, Any, Any, Shape]]
) -> None:
    directory = tmp_path_factory.mktemp("odd")
    rows = []
    for number, (question, answer, better, messages, broken, _) in enumerate(given_rows):
        signals = [judgement(number, SHOWN, better, f"rater {better}")]
        rows.append(row(2 * number, question, answer, signals))
        rows.append(row(2 * number + 1, question, answer, signals, messages=messages, answer=broken))
    shape = given_rows[0][-1]
    try:
        built = _run(rows, directory, selection(shape, splits=ONE))
    except ServiceError as error:
        assert error.code == "invalid_value"  # noqa: PT017 - nothing left is as good an end as any
        return
    used = (directory / "data" / "row_ids.txt").read_text(encoding="utf-8").split()
    aside = [one["id"] for one in _lines(directory / "data" / "put_aside.jsonl")]
    assert not set(used) & set(aside)
    assert len(used) + len(aside) == built.counts.get("judged", built.counts["selected"])
    assert len(_lines(directory / "data" / "all.jsonl")) == built.rows
    assert pq.read_table(directory / "data" / "all.parquet").num_rows == built.rows


def test_fragments_of_other_languages_stay_text(tmp_path: Path) -> None:
    text = "'; drop table feedback.signals; -- {{ 7*7 }} {% for x in y %} ${jndi:ldap://x} <script>alert(1)</script> %s"
    rows = [row(1, text, "given", [judgement(1, SHOWN, text + "!", "ann")])]
    _run(rows, tmp_path, selection(splits=ONE))
    messages = _lines(tmp_path / "data" / "all.jsonl")[0]["messages"]
    assert [message["content"] for message in messages] == [text, text + "!"]


def test_without_redaction_text_stays_as_it_was_said(tmp_path: Path) -> None:
    rows = [row(1, "I am ann@example.org", "Hello.", [judgement(1, THUMB, True, "ann")])]
    _run(rows, tmp_path, selection(splits=ONE, redact=False))
    assert "ann@example.org" in (tmp_path / "data" / "all.jsonl").read_text(encoding="utf-8")


def test_a_megabyte_in_one_row_is_no_trouble(tmp_path: Path) -> None:
    rows = [row(1, "long " * 200_000, "Hello.", [judgement(1, THUMB, True, "ann")])]
    assert _run(rows, tmp_path, selection(splits=ONE)).rows == 1


def test_an_empty_data_set_is_refused_and_says_where_the_rows_went(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"judged 1.*contradicted 1") as caught:
        _run([GOLDEN[5], GOLDEN[6]], tmp_path, selection())
    assert caught.value.code == "invalid_value"
    with pytest.raises(ServiceError, match="read 0"):
        _run([], tmp_path / "none", selection())


def test_near_duplicates_stay_where_they_are_wanted(tmp_path: Path) -> None:
    base = " ".join(f"word{number}" for number in range(60))
    rows = [row(n, "Tell me.", f"{base} end{n}", [judgement(n, THUMB, True, f"r{n}")]) for n in range(1, 4)]
    assert _run(rows, tmp_path / "without", selection(splits=ONE)).rows == 1
    chosen = msgspec.structs.replace(selection(splits=ONE), near_duplicates=0.0)
    assert _run(rows, tmp_path / "with", chosen).rows == 3
