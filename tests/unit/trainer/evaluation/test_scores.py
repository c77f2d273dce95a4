"""Metrics from sums over items, beside hand counts and the libraries they follow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from libs.contracts.evaluation import Measure, Task
from services.trainer.evaluation.answers import Answer
from services.trainer.evaluation.items import make_item
from services.trainer.evaluation.scores import bleu, mean, perplexity
from services.trainer.evaluation.scoring import score
from services.trainer.evaluation.texts import bleu_counts

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "."]), max_size=9).map(" ".join)


def _scores(
    measures: tuple[Measure, ...], *rows: tuple[str, list[str]], rules: tuple[str, ...] = ()
) -> dict[str, float]:
    items = [make_item([{"role": "user", "content": str(n)}], row[1]) for n, row in enumerate(rows)]
    given_ = [[Answer(task="t", item=item.id, text=row[0])] for item, row in zip(items, rows, strict=True)]
    return {
        name: one.value() for name, one in score(Task(name="t", measures=measures, rules=rules), items, given_).items()
    }


@given(st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=1, max_size=5))
def test_corpus_bleu_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    said, wanted = [one for one, _ in pairs], [other for _, other in pairs]
    expected = BLEU().corpus_score(said, [wanted]).score / 100
    counts = np.array([bleu_counts(one, [other]) for one, other in pairs])
    assert float(bleu(counts.sum(axis=0))) == pytest.approx(expected, abs=1e-9)


def test_classification_by_hand() -> None:
    found = _scores(
        (Measure.CLASSIFICATION,),
        ("a", ["a"]),
        ("a", ["a"]),
        ("b", ["a"]),
        ("b", ["b"]),
        ("who knows", ["b"]),
        ("c", ["c"]),
    )
    # a: 2 right of 2 said, 3 wanted; b: 1 right of 2 said, 2 wanted; c: 1 of 1, 1.
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["f1"] == pytest.approx((4 / 5 + 2 / 4 + 1) / 3)


def test_a_label_that_nobody_names_has_precision_0() -> None:
    found = _scores((Measure.CLASSIFICATION,), ("a", ["a"]), ("a", ["b"]))
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((1 / 4, 1 / 2, 1 / 3))


def test_means_rules_and_expressions() -> None:
    found = _scores(
        (Measure.EXACT_MATCH, Measure.TOKEN_F1),
        ("12 euros", ["12"]),
        ("12", ["12"]),
        ("none", []),
        rules=("euro=[0-9]+ euros?",),
    )
    assert found["exact_match"] == pytest.approx(1 / 2), "an item without a reference has no match"
    assert found["token_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["euro"] == pytest.approx(1 / 3)


def test_answers_that_never_came_are_wrong_and_have_no_time() -> None:
    item = make_item([{"role": "user", "content": "?"}], ["a"])
    given_ = [
        [
            Answer(task="t", item=item.id, text="a", latency_ms=20.0),
            Answer(task="t", item=item.id, text="a", error="no_worker"),
        ]
    ]
    task = Task(
        name="t",
        measures=(Measure.EXACT_MATCH, Measure.LATENCY_MS, Measure.CLASSIFICATION, Measure.BLEU),
        rules=("r=a",),
    )
    found = {name: one.value() for name, one in score(task, [item], given_).items()}
    assert (found["exact_match"], found["accuracy"], found["r"], found["latency_ms"]) == (0.5, 0.5, 0.5, 20.0)


def test_perplexity_is_the_exponential_of_the_mean_loss_per_token() -> None:
    assert float(perplexity(np.array([6.0, 3.0]))) == pytest.approx(np.exp(2))
    assert np.isnan(perplexity(np.array([0.0, 0.0])))


def test_a_mean_over_nothing_is_no_number() -> None:
    assert np.isnan(mean(np.zeros(3), np.zeros(3)).value())
