"""Pairwise comparison: orders, ties, answers that never came, and what a judge's words mean."""

import pytest

from libs.contracts.evaluation import EvaluationPlan, Judge, Task
from services.trainer.evaluation.answers import Answer, Answers, Side
from services.trainer.evaluation.assess import Material
from services.trainer.evaluation.items import make_item
from services.trainer.evaluation.judging import LOSS, TIE, WIN, by_rule, choice, of_both_orders, settled, win_rate
from services.trainer.evaluation.jury import Jury

ITEM = make_item([{"role": "user", "content": "Price?"}], ["12"], id="i")


def _answer(text: str, side: Side = Side.CANDIDATE, error: str = "", item: str = "i") -> Answer:
    return Answer(task="t", item=item, side=side, text=text, error=error)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("A", "a"), ("b.", "b"), ("**B**", "b"), ("Answer A", "a"), ("tie", "tie"), ("It is a tie.", "tie"),
        ("A is better than B", "tie"), ("", "tie"), ("I cannot say", "tie"), ("a", "a"), ("B\n", "b"),
    ],
)  # fmt: skip
def test_what_a_judge_means(said: str, meant: str) -> None:
    assert choice(said) == meant


def test_orders_that_disagree_are_a_tie() -> None:
    assert of_both_orders("a", "b") == WIN
    assert of_both_orders("b", "a") == LOSS
    for pair in (("a", "a"), ("b", "b"), ("tie", "a"), ("a", "tie"), ("tie", "tie")):
        assert of_both_orders(*pair) == TIE


def test_what_needs_no_judge() -> None:
    assert settled(_answer("12"), _answer(" 12 ")) == TIE
    assert settled(_answer("12"), _answer("13")) is None
    assert settled(_answer("", error="no_worker"), _answer("13")) == LOSS
    assert settled(_answer("12"), _answer("", error="no_worker")) == WIN
    assert settled(_answer("", error="x"), _answer("", error="y")) == TIE


def test_a_rule_as_judge() -> None:
    def has_digits(_: object, answer: Answer) -> bool | None:
        return None if answer.text == "skip" else answer.text.isdigit()

    pairs = [("12", "no"), ("no", "12"), ("1", "2"), ("no", "nor"), ("skip", "12")]
    items = [make_item([{"role": "user", "content": str(n)}], [], id=str(n)) for n in range(len(pairs))]
    given = [(item, [_answer(one)], [_answer(two)]) for item, (one, two) in zip(items, pairs, strict=True)]
    outcomes = by_rule(has_digits, given)
    assert outcomes == {("0", 0): WIN, ("1", 0): LOSS, ("2", 0): TIE, ("3", 0): TIE}
    ours, half = win_rate(items, 1, outcomes)
    assert (ours.value(), half.value(), int(ours.present.sum())) == (0.5, 0.5, 4)
    assert by_rule(has_digits, [(items[0], [_answer("12", error="x")], [_answer("no")])]) == {("0", 0): TIE}


def _jury(*pairs: tuple[str, str]) -> Jury:
    items = tuple(make_item([{"role": "user", "content": str(n)}], [], id=str(n)) for n in range(len(pairs)))
    answers = [_answer(one, item=str(n)) for n, (one, _) in enumerate(pairs)]
    answers += [_answer(two, Side.BASELINE, item=str(n)) for n, (_, two) in enumerate(pairs)]
    plan = EvaluationPlan(tasks=(Task(name="t"),), temperatures=(0.0,))
    return Jury(Judge(model="judge"), Material(plan, "c", "b", {"t": items}, Answers(answers)))


def _verdict(question: object, text: str, error: str = "") -> Answer:
    task, side, temperature, item, sample = question.key  # type: ignore[attr-defined]
    return Answer(task=task, side=side, temperature=temperature, item=item, sample=sample, text=text, error=error)


def test_a_jury_is_asked_in_both_orders_about_pairs_that_differ() -> None:
    jury = _jury(("good", "bad"), ("same", "same"))
    asked = list(jury.questions())
    assert [question.temperature for question in asked] == [0.0, 0.0]
    texts = [question.messages[0]["content"] for question in asked]
    assert texts[0].index("good") < texts[0].index("bad")
    assert texts[1].index("bad") < texts[1].index("good")
    said = [_verdict(asked[0], "A"), _verdict(asked[1], "B")]
    assert jury.outcomes(said) == {("t", 0.0): {("0", 0): WIN, ("1", 0): TIE}}


def test_a_judge_that_loves_the_first_place_says_nothing() -> None:
    jury = _jury(*[("x", "y")] * 3)
    said = [_verdict(question, "A") for question in jury.questions()]
    assert set(jury.outcomes(said)["t", 0.0].values()) == {TIE}


def test_too_many_pairs_without_a_verdict_and_there_is_no_win_rate() -> None:
    jury = _jury(*[("x", "y")] * 20)
    asked = list(jury.questions())
    lost = {2: "0", 3: "1", 5: "2"}
    few = [_verdict(q, "A", "no_worker" if q.key[3] in ("0", "1") else "") for q in asked]
    assert len(jury.outcomes(few)["t", 0.0]) == 18
    many = [_verdict(q, "A", "no_worker" if q.key[3] in lost.values() else "") for q in asked]
    assert jury.outcomes(many) == {}


def test_braces_and_tags_in_answers_do_not_break_the_question() -> None:
    (first, _) = _jury(("{question} </answer_a> {0}", "b"))._both_orders("t", ITEM, (_answer("{x}"), _answer("%s")))
    assert "{x}" in first.messages[0]["content"]
