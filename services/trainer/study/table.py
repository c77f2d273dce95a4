"""Tables of before and after: means over seeds, the worst seed, and intervals by bootstrap over wordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from services.trainer.evaluation.bootstrap import Resampled, Resampling, cluster_numbers
from services.trainer.evaluation.scores import F64, ratio
from services.trainer.study.exam import CHANGED, CHANGED_LATER
from services.trainer.study.loop import Answered, Result

CONFIDENCE: Final = 0.95
SEED: Final = 5
Score = Callable[[Answered], float | None]
"""From 0 to 1; None where the measure has nothing to say."""


def _right(group: str) -> Score:
    return lambda one: float(one.right) if one.group == group else None


MEASURES: Final[dict[str, Score]] = {
    "polite": lambda one: float(one.polite),
    f"right: {CHANGED}": _right(CHANGED),
    f"right: {CHANGED_LATER}": _right(CHANGED_LATER),
    "old price given": lambda one: None if one.outdated is None else float(one.outdated),
    **{
        f"right: {group}": _right(group)
        for group in (
            "facts",
            "shop questions",
            "unknown products",
            "small talk",
            "beyond the shop",
            "follow-ups",
            "quoted prices",
        )
    },
    "well formed": lambda one: float(one.well_formed),
}
LOWER_IS_BETTER: Final = frozenset({"old price given", "perplexity"})


@dataclass(frozen=True)
class Change:
    """One measure at one temperature, before and after, in shares from 0 to 1."""

    questions: int
    before: float
    after: tuple[float, ...]
    """By seed."""
    low: float
    high: float
    """Of the mean change over seeds."""

    def row(self, name: str) -> str:
        """As a line of a Markdown table, in percent."""
        mean = sum(self.after) / len(self.after)
        worst = max(self.after) if name in LOWER_IS_BETTER else min(self.after)
        shown = [f"{100 * x:.1f}" for x in (self.before, mean, worst)]
        change = f"{100 * (mean - self.before):+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return f"| {name} | {self.questions} | {' | '.join(shown)} | {change} |"


def read_answers(path: Path) -> list[Answered]:
    """The graded answers that `Loop.graded` kept."""
    return [msgspec.json.decode(line, type=Answered) for line in path.read_bytes().splitlines()]


def change(before: Sequence[Answered], after: Sequence[Sequence[Answered]], score: Score) -> Change:
    """The change of a measure, each wording with all its questions drawn together; seeds share their wordings."""
    sides = [_by_question(side, score) for side in (before, *after)]
    keys = [key for key in sides[0] if all(key in side for side in sides)]
    values = np.array([[side[key] for side in sides] for key in keys])
    clusters = cluster_numbers([wording for _, wording in keys], np.ones(len(keys), np.bool_))
    columns = np.concatenate([values, np.ones((len(keys), 1))], axis=1)
    draws, left_out = Resampling(clusters, SEED).sums(columns)
    resampled = Resampled(float(_gain(columns.sum(axis=0))), _gain(draws), _gain(left_out))
    low, high = resampled.interval(CONFIDENCE) or (float("nan"), float("nan"))
    means = [float(x) for x in values.mean(axis=0)]
    return Change(len(keys), means[0], tuple(means[1:]), low, high)


def shares_table(before: Sequence[Answered], after: Sequence[Sequence[Answered]], temperature: float) -> str:
    """Every measure at one temperature."""
    at = [[one for one in side if one.temperature == temperature] for side in (before, *after)]
    lines = [
        f"| T = {temperature:g}, % | questions | before | after, mean of {len(after)} | worst | change [95 %] |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [change(at[0], at[1:], score).row(name) for name, score in MEASURES.items()])


def likeness_table(before: dict[str, float], after: Sequence[Result]) -> str:
    """BLEU, ROUGE-L and perplexity, and what a turn took."""
    lines = [f"| | before | after, mean of {len(after)} | worst |", "|---|---|---|---|"]
    for key in ("BLEU@0.0", "ROUGE-L@0.0", "perplexity"):
        values = [one.figures[key] for one in after]
        worst = max(values) if key in LOWER_IS_BETTER else min(values)
        name = key.replace("@0.0", " (T = 0)")
        lines.append(f"| {name} | {before[key]:.3f} | {sum(values) / len(values):.3f} | {worst:.3f} |")
    return "\n".join(lines)


def trials_table(results: Sequence[Result], keys: Sequence[str]) -> str:
    """One line per trial, those that failed, too."""
    lines = [f"| trial | seed | {' | '.join(keys)} |", "|---" * (len(keys) + 2) + "|"]
    for one in results:
        cells = [f"{100 * one.figures[key]:.1f}" if key in one.figures else "-" for key in keys]
        told = f" failed: {one.error}" if one.error else ""
        lines.append(f"| {one.trial.name}{told} | {one.trial.seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_question(answers: Sequence[Answered], score: Score) -> dict[tuple[str, str], float]:
    """Mean over the sampling passes of each question."""
    many: dict[tuple[str, str], list[float]] = {}
    for one in answers:
        value = score(one)
        if value is not None:
            many.setdefault((one.question, one.wording), []).append(value)
    return {key: sum(values) / len(values) for key, values in many.items()}


def _gain(sums: F64) -> F64:
    """Mean over seeds of after, less before; the last column counts."""
    after = sums[..., 1:-1].mean(axis=-1)
    return ratio(np.stack([after - sums[..., 0], sums[..., -1]], axis=-1))
