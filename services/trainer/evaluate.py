"""Grades a model folder on held-out questions: `python -m services.trainer.evaluate MODEL_DIR`.

Grades on the development questions unless `--test` asks for the ones that are never tuned on.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.trainer.card import record_figures
from services.trainer.corpus.heldout import DEV, TEST
from services.trainer.corpus.items import Group, Item
from services.trainer.corpus.judge import is_right, read
from services.trainer.generation import SERVED_TEMPERATURE, Generated, Sampling, generate
from services.trainer.progress import Progress

SAMPLING_SEEDS: Final = (1, 2, 3)


@dataclass(frozen=True)
class Grade:
    """How one answer did."""

    item: Item
    answer: Generated

    @property
    def right(self) -> bool:
        """Whether it answers the question."""
        return is_right(self.item, self.answer.text)

    @property
    def well_formed(self) -> bool:
        """Whether the desk could have said it, and the model ended it by itself."""
        return self.answer.stopped and read(self.answer.text) is not None

    @property
    def curt(self) -> bool:
        """Whether it lacks kindness."""
        reading = read(self.answer.text)
        return reading is None or not reading.polite


@dataclass(frozen=True)
class Figures:
    """Shares of all answers of one pass, from 0 to 1."""

    right: dict[Group, float]
    well_formed: float
    curt: float


def grade(model: Any, tokenizer: Any, items: Sequence[Item], how: Sampling) -> list[Grade]:
    """Asks every question once."""
    answers = generate(model, tokenizer, [item.turns for item in items], how)
    return [Grade(item, answer) for item, answer in zip(items, answers, strict=True)]


def figures(grades: Sequence[Grade]) -> Figures:
    """The shares of one pass."""
    by_group: dict[Group, list[bool]] = defaultdict(list)
    for one in grades:
        by_group[one.item.group].append(one.right)
    return Figures(
        right={group: mean(by_group[group]) for group in Group if group in by_group},
        well_formed=mean(g.well_formed for g in grades),
        curt=mean(g.curt for g in grades),
    )


def table(counts: dict[Group, int], greedy: Figures, sampled: Sequence[Figures]) -> str:
    """A Markdown table, one row per group; the sampled column is the mean of its passes."""
    total = sum(counts.values())
    rows = [
        (f"right: {group}", counts[group], greedy.right[group], [s.right[group] for s in sampled]) for group in counts
    ]
    rows += [
        ("well formed", total, greedy.well_formed, [s.well_formed for s in sampled]),
        ("curt", total, greedy.curt, [s.curt for s in sampled]),
    ]
    lines = [
        f"| | questions | T = 0 | T = {SERVED_TEMPERATURE} (mean of {len(sampled)}) | lowest | highest |",
        "|---|---|---|---|---|---|",
    ]
    for name, count, zero, many in rows:
        cells = " | ".join(f"{100 * value:.1f} %" for value in (zero, mean(many), min(many), max(many)))
        lines.append(f"| {name} | {count} | {cells} |")
    return "\n".join(lines)


def mistakes(grades: Iterable[Grade]) -> list[str]:
    """The questions answered wrongly, with what was said."""
    return [f"[{g.item.label}] {g.item.turns[-1].text} -> {g.answer.text}" for g in grades if not g.right]


def main() -> None:
    """Reads the command line, grades and prints."""
    parser = argparse.ArgumentParser(description="Grade a model on held-out questions.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--test", action="store_true", help="the test questions: never tune on what they show")
    parser.add_argument("--mistakes", action="store_true", help="list wrong greedy answers")
    parser.add_argument("--record", metavar="NOTE", help="write the table into the model's card, under this note")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.test and given.mistakes:
        parser.error("test questions are not for tuning: --mistakes shows development questions only")
    torch.set_num_threads(given.threads)
    items = TEST if given.test else DEV
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    progress = Progress()
    passes = []
    for number, seed in enumerate((0, *SAMPLING_SEEDS)):
        temperature = SERVED_TEMPERATURE if number else 0.0
        passes.append(grade(model, tokenizer, items, Sampling(temperature=temperature, seed=seed)))
        progress.bar(number + 1, len(SAMPLING_SEEDS) + 1, f"{len(items)} questions at T = {temperature}")
    greedy, *sampled = [figures(one) for one in passes]
    counts = {group: sum(item.group is group for item in items) for group in greedy.right}
    result = table(counts, greedy, sampled)
    progress.note(f"{'test' if given.test else 'development'} questions\n{result}")
    if given.mistakes:
        progress.note("\n".join(mistakes(passes[0])))
    if given.record:
        record_figures(given.model, f"{given.record}\n\n{result}")


if __name__ == "__main__":
    main()
