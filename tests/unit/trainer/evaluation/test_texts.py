"""Measures of single texts, with values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.evaluation import texts


@pytest.mark.parametrize(
    ("said", "references", "match"),
    [
        ("The Kettle.", ["kettle"], 1.0),
        ("a kettle , an apple!", ["Kettle apple"], 1.0),
        ("kettles", ["kettle"], 0.0),
        ("pot", ["kettle", "pot"], 1.0),
        ("", ["kettle"], 0.0),
        ("", ["A"], 0.0),
        ("(a)", ["A"], 1.0),
    ],
)
def test_exact_match_as_squad_compares(said: str, references: list[str], match: float) -> None:
    assert texts.exact_match(said, references) == match


def test_token_f1_by_hand() -> None:
    # Said: kettle costs 12 euros (4 words); wanted: kettle is 12 (3 words); common: kettle, 12.
    assert texts.token_f1("The kettle costs 12 euros.", ["The kettle is 12"]) == pytest.approx(2 * 2 / (4 + 3))
    assert texts.token_f1("12 12 12", ["12 euros"]) == pytest.approx(2 * 1 / (3 + 2))
    assert texts.token_f1("12", ["no", "12 euros"]) == pytest.approx(2 / 3)
    assert texts.token_f1("", ["12"]) == 0
    assert texts.token_f1("", [""]) == 1


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence of "a b c d" and "b d a": b d, so 2/4 and 2/3.
    assert texts.rouge_l("a b c d", ["b d a"]) == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert texts.rouge_l("Größe 40", ["größe 40"]) == 1
    assert texts.rouge_l("", ["x"]) == 0


def test_bleu_counts_by_hand() -> None:
    # "the cat sat on a mat" against "the cat sat on the mat": 5, 3, 2, 1 of 6, 5, 4, 3 n-grams.
    counts = texts.bleu_counts("the cat sat on a mat", ["the cat sat on the mat"])
    assert counts == [5, 3, 2, 1, 6, 5, 4, 3, 6, 6]


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("positive", "positive"),
        ("Positive.", "positive"),
        ("I think it is negative, honestly.", "negative"),
        ("positive or negative", ""),
        ("very positively", ""),
        ("", ""),
        ("neither", ""),
    ],
)
def test_the_label_that_is_named(said: str, label: str) -> None:
    assert texts.label_of(said, ["positive", "negative"]) == label


@given(st.text(max_size=200), st.lists(st.text(max_size=200), min_size=1, max_size=3))
def test_no_text_breaks_a_measure_and_all_stay_between_0_and_1(said: str, references: list[str]) -> None:
    for measure in (texts.exact_match, texts.token_f1, texts.rouge_l):
        assert 0 <= measure(said, references) <= 1
        assert measure(references[0], references) in (0, pytest.approx(1))
    assert len(texts.bleu_counts(said, references)) == texts.BLEU_COLUMNS


def test_a_huge_text_is_scored_too() -> None:
    huge = "all work and no play " * 40_000
    assert texts.rouge_l(huge, [huge]) == 1
    assert texts.token_f1(huge, ["work"]) < 0.001
    assert texts.bleu_counts(huge, ["work"])[0] == 1
