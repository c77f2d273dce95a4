"""How like the kind and right answers a model's answers are, and how likely it finds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from libs.kit.clock import seeded_random
from services.trainer.corpus.items import messages
from services.trainer.evaluation.items import make_item
from services.trainer.evaluation.perplexity import Weights
from services.trainer.evaluation.scores import bleu as bleu_of
from services.trainer.evaluation.texts import bleu_counts
from services.trainer.evaluation.texts import rouge_l as rouge_l_of
from services.trainer.study.exam import Question, kind_answers
from services.trainer.study.grading import Graded

REFERENCE_SEED: Final = 17


def likeness(graded: Sequence[Graded]) -> dict[str, float]:
    """Corpus BLEU and mean ROUGE-L against every kind and right answer, from 0 to 1."""
    said = [(one.answer.text, tuple(kind_answers(one.question.item))) for one in graded]
    # Most answers are given more than once, and each is slow to score.
    counts = {key: np.array(bleu_counts(*key)) for key in set(said)}
    rouge = {key: rouge_l_of(*key) for key in counts}
    return {
        "BLEU": float(bleu_of(np.sum([counts[key] for key in said], axis=0))),
        "ROUGE-L": float(np.mean([rouge[key] for key in said])),
    }


def perplexity(base: Path, adapter: Path | None, asked: Sequence[Question]) -> float:
    """Per token, of one kind and right answer to every question, drawn once and for all."""
    rng = seeded_random(REFERENCE_SEED)
    items = [make_item(messages(q.item.turns), [rng.choice(kind_answers(q.item))]) for q in asked]
    return Weights(str(base), str(adapter or "")).score(items).value()
