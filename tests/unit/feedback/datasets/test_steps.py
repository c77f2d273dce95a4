"""Select, label, normalise, quality, split: what each step promises."""

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.datasets import Quarantine, Selection, Shape
from libs.contracts.feedback import SignalKind, Source
from libs.kit.errors import ServiceError
from libs.kit.selections import check_selection
from libs.testkit.judged import START_MS, judgement, row, selection
from services.feedback.datasets.labels import judge
from services.feedback.datasets.normalise import each_text, normalise
from services.feedback.datasets.quality import flaw, plain
from services.feedback.datasets.rows import Example, Judgement, Label
from services.feedback.datasets.select import considered, current, is_selected, pinned
from services.feedback.datasets.split import split_of

UP, DOWN = ((SignalKind.THUMB, value) for value in (True, False))
signals = st.lists(
    st.builds(
        lambda number, what, rater, weight: judgement(number, what[0], what[1], f"r{rater}", weight=weight),
        st.integers(0, 10**6),
        st.sampled_from([UP, DOWN, (SignalKind.SCORE, 0.2), (SignalKind.SCORE, 0.7), (SignalKind.COMMENT, "hm")]),
        st.integers(0, 4),
        st.sampled_from([0.05, 0.1, 0.3, 1.0]),
    ),
    max_size=8,
    unique_by=lambda signal: signal.id,
)


# select


def test_a_signal_counts_until_one_recorded_before_the_end_supersedes_it() -> None:
    first = judgement(1, *UP, "ann")
    second = judgement(2, *DOWN, "ann", supersedes=first.id)
    late = judgement(3, *UP, "ann", superseded_by=second.id)
    assert current([second, late, first], 0) == (second,)
    assert current([second, late, first], second.recorded_ms) == (first,)
    assert current([second, late, first], first.recorded_ms) == ()


@pytest.mark.parametrize(
    ("changes", "is_in"),
    [
        ({}, True),
        ({"since_ms": START_MS + 1_001}, False),
        ({"until_ms": START_MS + 1_000}, False),
        ({"tenant": "other"}, False),
        ({"model_versions": ("helpdesk@sha256:0123456789ab",)}, True),
        ({"model_versions": ("helpdesk@sha256:ffffffffffff",)}, False),
        ({"tags": ("good", "new")}, True),
        ({"tags": ("bad",)}, False),
        ({"raters": ("ann",)}, True),
        ({"raters": ("bob",)}, False),
    ],
)
def test_selection_by_field(changes: dict[str, object], is_in: bool) -> None:
    one = row(1, "a", "b", [judgement(0, *UP, "ann", tags=("good",))])
    assert is_selected(one, msgspec.structs.replace(selection(), **changes)) is is_in


@pytest.mark.parametrize("changes", [{"erased": True}, {"messages": None}])
def test_rows_without_content_are_not_selected(changes: dict[str, object]) -> None:
    assert not is_selected(msgspec.structs.replace(row(1, "a", "b"), **changes), selection())


def test_implicit_signals_count_only_if_asked_for() -> None:
    one = row(1, "a", "b", [judgement(0, *UP, "ann", source=Source.COPIED)])
    assert considered(one, selection()) == ()
    assert len(considered(one, selection(include_implicit=True))) == 1


def test_a_selection_without_an_end_ends_when_it_is_ordered() -> None:
    assert pinned(selection(), 77).until_ms == 77
    assert pinned(selection(until_ms=99), 77).until_ms == 77
    assert pinned(selection(until_ms=50), 77).until_ms == 50


# label


def test_a_demonstration_beats_thumbs() -> None:
    shown = judgement(1, SignalKind.DEMONSTRATION, "better", "ann")
    verdict = judge([judgement(2, *UP, "bob"), judgement(3, *DOWN, "eve"), shown], 0.5)
    assert (verdict.label, verdict.better, verdict.raters) == (Label.DEMONSTRATION, "better", ("ann",))


def test_a_demonstration_of_an_episode_answers_no_request() -> None:
    assert judge([judgement(1, SignalKind.DEMONSTRATION, "x", "ann", of_episode=True)], 0.5).label is Label.NONE


def test_a_judgement_of_the_interaction_beats_the_same_raters_of_its_episode() -> None:
    both = [judgement(1, *DOWN, "ann"), judgement(2, *UP, "ann", of_episode=True)]
    assert judge(both, 0.5).label is Label.DOWN


def test_a_raters_judgement_beats_a_guess_about_them() -> None:
    both = [judgement(2, *UP, "ann", source=Source.COPIED), judgement(1, *DOWN, "ann", of_episode=True)]
    assert judge(both, 0.5).label is Label.DOWN


def test_a_score_counts_as_up_from_the_least_one_on() -> None:
    assert judge([judgement(1, SignalKind.SCORE, 0.5, "ann")], 0.5).label is Label.UP
    assert judge([judgement(1, SignalKind.SCORE, 0.49, "ann")], 0.5).label is Label.DOWN


def test_many_guesses_do_not_outweigh_a_judgement() -> None:
    guesses = [judgement(n, *UP, f"r{n}", source=Source.COPIED, weight=0.1) for n in range(9)]
    verdict = judge([*guesses, judgement(99, *DOWN, "ann")], 0.5)
    assert (verdict.label, verdict.raters, verdict.is_contradicted) == (Label.DOWN, ("ann",), True)


def test_a_tie_decides_nothing_and_says_so() -> None:
    verdict = judge([judgement(1, *UP, "ann"), judgement(2, *DOWN, "bob")], 0.5)
    assert (verdict.label, verdict.is_contradicted) == (Label.NONE, True)


@given(signals, st.randoms(use_true_random=False))
def test_the_order_of_signals_decides_nothing(given_signals: list[Judgement], chance: random.Random) -> None:
    shuffled = given_signals.copy()
    chance.shuffle(shuffled)
    assert judge(given_signals, 0.5) == judge(shuffled, 0.5)


@given(signals)
def test_the_verdict_is_that_of_its_raters(given_signals: list[Judgement]) -> None:
    verdict = judge(given_signals, 0.5)
    assert set(verdict.raters) <= {signal.rater for signal in given_signals}
    assert (verdict.label is Label.NONE) == (not verdict.raters)


# normalise


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("sch\u00c3\u00b6n", "schön"),
        ("a\0b", "ab"),
        ("line  \r\nnext\t\n", "line\nnext"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("\ud800x", "\ufffdx"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("&lt;b&gt; stays, “quotes” stay", "&lt;b&gt; stays, “quotes” stay"),
        ("def f():\n    return 1", "def f():\n    return 1"),
        ("'; drop table users; -- {{7*7}} ${x} <script>", "'; drop table users; -- {{7*7}} ${x} <script>"),
    ],
)
def test_normalisation_by_example(text: str, result: str) -> None:
    assert normalise(text) == result


@given(st.text(alphabet=st.characters(), max_size=200))
def test_normalised_text_is_whole_clean_and_stays_as_it_is(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert "\0" not in once
    once.encode()
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in once)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_every_text_of_a_json_value_is_changed_and_nothing_else(value: object) -> None:
    assert each_text(value, lambda text: text) == value
    assert json.dumps(each_text(value, lambda _: "x")).count("y") == 0


# quality


def _example(**changes: object) -> Example:
    fields: dict[str, object] = {
        "id": "1", "unit": "1", "time_ms": 1, "model_version": "", "label": Label.UP,
        "prompt": [{"role": "user", "content": "question"}], "answer": {"role": "assistant", "content": "answer"},
    }  # fmt: skip
    return msgspec.convert({**fields, **changes}, Example)


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
BAD_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":'}}


@pytest.mark.parametrize(
    ("changes", "selected", "truncated", "reason"),
    [
        ({}, {}, False, ""),
        ({"answer": {"role": "assistant", "content": ""}}, {}, False, "empty"),
        ({"answer": None}, {}, False, "empty"),
        ({"answer": {"role": "assistant", "content": "", "tool_calls": [CALL]}}, {}, False, ""),
        ({"answer": {"role": "assistant", "content": "", "tool_calls": [BAD_CALL]}}, {}, False, "broken"),
        ({"answer": {"role": "assistant", "content": "\ufffd\ufffd ok"}}, {}, False, "broken"),
        ({}, {}, True, "truncated"),
        ({"label": "demonstration", "better": "whole"}, {}, True, ""),
        ({}, {"min_answer_chars": 7}, False, "too_short"),
        ({}, {"max_answer_chars": 5}, False, "too_long"),
        ({"prompt": []}, {}, False, "no_question"),
        ({"prompt": [{"role": "assistant", "content": "hi"}]}, {}, False, "no_question"),
    ],
)
def test_flaws(changes: dict[str, object], selected: dict[str, object], truncated: bool, reason: str) -> None:
    assert flaw(_example(**changes), msgspec.structs.replace(selection(), **selected), truncated=truncated) == reason


@pytest.mark.parametrize(
    "message",
    [
        None, "text", {"role": "user", "content": 7}, {"role": "root", "content": "x"}, {"content": "x"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
    ],
)  # fmt: skip
def test_what_is_no_text_message_is_refused(message: object) -> None:
    assert plain(message) is None


def test_parts_of_text_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert plain({"role": "user", "content": parts, "extra": 1}) == {"role": "user", "content": "ab"}


# split


@given(st.text(min_size=1, max_size=20), st.integers(0, 5))
def test_a_unit_is_in_one_split_whatever_else_there_is(unit: str, seed: int) -> None:
    splits = {"train": 0.8, "test": 0.1, "dev": 0.1}
    assert split_of(unit, seed, splits) == split_of(unit, seed, dict(reversed(splits.items())))
    assert split_of(unit, seed, {"all": 1.0}) == "all"


@pytest.mark.parametrize("stratum", ["a", "b", "c"])
def test_every_stratum_is_split_by_the_same_shares(stratum: str) -> None:
    found = [split_of(f"{stratum}{number}", 0, {"train": 0.9, "test": 0.1}) for number in range(5_000)]
    assert 0.085 < found.count("test") / len(found) < 0.115


# selections


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": "No Name"}, "name"),
        ({"tenant": ""}, "tenant"),
        ({"since_ms": 5, "until_ms": 5}, "until_ms"),
        ({"min_score": 1.5}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"near_duplicates": -0.1}, "near_duplicates"),
        ({"splits": {}}, "splits"),
        ({"splits": {"train": 0.5}}, "splits"),
        ({"splits": {"../x": 1.0}}, "splits"),
        ({"splits": {"train": float("nan")}}, "splits"),
        ({"min_answer_chars": 9, "max_answer_chars": 8}, "min_answer_chars"),
        ({"quarantine": Quarantine(max_rater_share=0)}, "quarantine.max_rater_share"),
        ({"quarantine": Quarantine(max_burst_per_min=0)}, "quarantine.max_burst_per_min"),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(changes: dict[str, object], param: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_selection(msgspec.structs.replace(selection(), **changes))
    assert caught.value.param == param
    assert caught.value.code in ("invalid_value", "missing_field")


@pytest.mark.parametrize("shape", Shape)
def test_a_plain_selection_is_accepted(shape: Shape) -> None:
    check_selection(Selection(name="helpdesk", shape=shape, tenant="acme"))
