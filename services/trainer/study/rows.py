"""Ratings as rows of a data set, in the shapes in which the feedback service builds them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from libs.contracts.datasets import Shape
from services.trainer.corpus.items import messages
from services.trainer.study.customers import Rated

Row = dict[str, Any]


def rows(shape: Shape, rated: Sequence[Rated]) -> list[Row]:
    """The data set that these ratings make; a correction stands for its rating."""
    if shape is Shape.SFT:
        return [_sft(one) for one in rated if one.up or one.better]
    if shape is Shape.KTO:
        return [_kto(one) for one in rated]
    return list(_pairs(rated))


def _sft(one: Rated) -> Row:
    return {"messages": [*messages(one.item.turns), _said(one.better or one.reply.text)], **_origin(one)}


def _kto(one: Rated) -> Row:
    said = one.better or one.reply.text
    return {
        "prompt": messages(one.item.turns),
        "completion": [_said(said)],
        "label": one.up or bool(one.better),
        **_origin(one),
    }


def _pairs(rated: Iterable[Rated]) -> Iterable[Row]:
    """A correction against what it corrects; the answers to one question judged well against those judged badly."""
    by_question: dict[Any, tuple[list[Rated], list[Rated]]] = defaultdict(lambda: ([], []))
    for one in rated:
        if one.better:
            yield _pair(one, one.better, one.reply.text)
        else:
            by_question[one.item.turns][0 if one.up else 1].append(one)
    for good, bad in by_question.values():
        for better, worse in zip(good, bad, strict=False):
            yield _pair(better, better.reply.text, worse.reply.text)


def _pair(one: Rated, chosen: str, rejected: str) -> Row:
    return {
        "prompt": messages(one.item.turns),
        "chosen": [_said(chosen)],
        "rejected": [_said(rejected)],
        **_origin(one),
    }


def _origin(one: Rated) -> Row:
    return {"demonstration": True} if one.better else {}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
