"""Grades a model of this process on held-out questions: shares by group, kindness, form."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.trainer.corpus.judge import is_right, read
from services.trainer.generation import Generated, Sampling, generate
from services.trainer.study.exam import Question

ALL: Final = "all"


@dataclass(frozen=True)
class Graded:
    """What was said to one question."""

    question: Question
    answer: Generated

    @property
    def right(self) -> bool:
        """Whether it answers the question as things are today."""
        return is_right(self.question.item, self.answer.text)

    @property
    def polite(self) -> bool:
        """Whether it is well formed, kind and nowhere rude."""
        reading = read(self.answer.text)
        return reading is not None and reading.polite

    @property
    def well_formed(self) -> bool:
        """Whether the desk could have said it, and the model ended it by itself."""
        return self.answer.stopped and read(self.answer.text) is not None

    @property
    def outdated(self) -> bool:
        """Whether it gives yesterday's price."""
        reading = read(self.answer.text)
        return reading is not None and reading.core in self.question.old


def grade(model: Any, tokenizer: Any, asked: Sequence[Question], how: Sampling) -> list[Graded]:
    """Asks every question once."""
    answers = generate(model, tokenizer, [q.item.turns for q in asked], how)
    return [Graded(q, a) for q, a in zip(asked, answers, strict=True)]


def figures(graded: Sequence[Graded]) -> dict[str, float]:
    """Shares from 0 to 1 by `<measure>/<group>`; `polite` and `well formed` over all."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for one in graded:
        hits[f"right/{one.question.group}"].append(one.right)
        hits[f"polite/{ALL}"].append(one.polite)
        hits[f"well formed/{ALL}"].append(one.well_formed)
        if one.question.old:
            hits["old price given"].append(one.outdated)
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}
