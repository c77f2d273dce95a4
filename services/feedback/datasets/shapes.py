"""Ninth step: what a row of each kind of data set looks like, and which examples make one."""

from typing import Any, Final

import msgspec
import numpy as np

from libs.contracts.datasets import Shape
from services.feedback.datasets.quality import text_of
from services.feedback.datasets.rows import Example, Label
from services.feedback.datasets.similar import I64, U64, Mask

Record = dict[str, Any]
NONE: Final = -1

USABLE: Final = {
    Shape.SFT: (Label.UP, Label.DEMONSTRATION),
    Shape.EVALUATION: (Label.UP, Label.DEMONSTRATION),
    Shape.KTO: (Label.UP, Label.DOWN, Label.DEMONSTRATION),
    Shape.PREFERENCE: (Label.UP, Label.DOWN, Label.DEMONSTRATION),
    Shape.RAW: tuple(Label),
}
"""The labels that a shape can use."""


def pair_up(rows: I64, ups: Mask, downs: Mask, groups: U64, ranks: I64) -> tuple[I64, I64]:
    """Pair rows judged well with rows judged badly of the same group, the oldest with the oldest.

    A group is one prompt within one split, so that no pair straddles two splits.

    Returns:
        The chosen and the rejected rows; whoever finds no partner is in neither.
    """
    good, bad = rows[ups[rows]], rows[downs[rows]]
    good, bad = (side[np.lexsort((ranks[side], groups[side]))] for side in (good, bad))
    places = [_place_in_group(groups[side]) for side in (good, bad)]
    left, right = (
        zip(groups[side].tolist(), place.tolist(), strict=True) for side, place in zip((good, bad), places, strict=True)
    )
    partners = dict(zip(right, bad.tolist(), strict=True))
    pairs = [(row, partners[key]) for row, key in zip(good.tolist(), left, strict=True) if key in partners]
    chosen = np.array([pair[0] for pair in pairs], dtype=np.int64)
    return chosen, np.array([pair[1] for pair in pairs], dtype=np.int64)


def _place_in_group(groups: U64) -> I64:
    """0, 1, 2, … within each run of equal values."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.concatenate((starts, [len(groups)]))))


def is_pair_by_itself(example: Example) -> bool:
    """Whether a demonstration differs from the answer that was given, and there was one."""
    given = example.answer
    return given is not None and bool(text_of(given)) and text_of(given) != example.better


def record(shape: Shape, example: Example, rejected: Example | None = None) -> Record:
    """One row of the data set; `rejected` is the other half of a pair of two interactions."""
    body = _BODIES[shape](example, rejected)
    return {"id": example.id, **body, "model_version": example.model_version, "time_ms": example.time_ms}


def _sft(example: Example, _: Example | None) -> Record:
    return {"messages": [*example.prompt, example.completion], "demonstration": _is_demonstration(example)}


def _preference(example: Example, other: Example | None) -> Record:
    rejected = example.answer if other is None else other.completion
    return {
        "prompt": example.prompt,
        "chosen": [example.completion],
        "rejected": [rejected],
        "rejected_id": example.id if other is None else other.id,
        "demonstration": _is_demonstration(example),
    }


def _kto(example: Example, _: Example | None) -> Record:
    return {
        "prompt": example.prompt,
        "completion": [example.completion],
        "label": example.label is not Label.DOWN,
        "demonstration": _is_demonstration(example),
    }


def _is_demonstration(example: Example) -> bool:
    """Whether a person wrote the answer: training may let it count for more than one that was only liked."""
    return example.label is Label.DEMONSTRATION


def _evaluation(example: Example, _: Example | None) -> Record:
    return {"messages": example.prompt, "reference": text_of(example.completion)}


def _raw(example: Example, _: Example | None) -> Record:
    signals = [
        {
            "id": signal.id,
            "kind": signal.kind.value,
            "value": signal.value,
            "rater": signal.rater,
            "source": signal.source.value,
            "weight": signal.weight,
            "tags": list(signal.tags),
            "time_ms": signal.time_ms,
        }
        for signal in example.signals
    ]
    answer = [] if example.answer is None else [example.answer]
    return {"episode": example.unit, "messages": [*example.prompt, *answer], "signals": signals}


_BODIES: Final = {
    Shape.SFT: _sft,
    Shape.PREFERENCE: _preference,
    Shape.KTO: _kto,
    Shape.EVALUATION: _evaluation,
    Shape.RAW: _raw,
}


def as_json(value: object) -> str:
    """A value as JSON text, for columns that have no simpler type."""
    return msgspec.json.encode(value, order="deterministic").decode()
