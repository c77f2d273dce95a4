"""One turn of the loop: customers judge the base, a recipe learns from them, held-out questions are graded."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.datasets import Shape
from libs.contracts.training import Method, Recipe
from libs.kit.clock import monotonic_s
from services.trainer.corpus.heldout import DEV, TEST
from services.trainer.generation import Sampling
from services.trainer.study.customers import Habits, Rated, collect
from services.trainer.study.desks import LocalDesk
from services.trainer.study.exam import questions
from services.trainer.study.grading import Graded, figures, grade
from services.trainer.study.learning import TrainingFailedError, load_adapted, load_base, train, write_rows
from services.trainer.study.likeness import likeness, perplexity
from services.trainer.study.rows import Row, rows
from services.trainer.work.order import Train

SHAPES: Final = {Method.SFT: Shape.SFT, Method.DPO: Shape.PREFERENCE, Method.KTO: Shape.KTO}
QUICK: Final = ((0.0, 0), (0.7, 1), (0.7, 2))
"""Temperature and sampling seed of each pass of a trial."""
FULL: Final = ((0.0, 0), (0.7, 1), (0.7, 2), (0.7, 3), (1.0, 1))
NEXT_ROUND: Final = 10_000
"""Keeps the customers of one round apart from those of the next."""
DIGITS: Final = 8
Alter = Callable[[Sequence[Rated], int], list[Row]]
"""Makes other rows of the ratings than a data set would; for adapters that are bad on purpose."""


@dataclass(frozen=True)
class Mischief:
    """What is done to an adapter that is to be bad."""

    alter: Alter | None = None
    spoil: Callable[[Path], None] | None = None
    """Done to the adapter's folder once it is made."""


HONEST: Final = Mischief()


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Ratings and a short training on all ratings so far, before the last ones are asked of what it made."""

    ratings: int
    steps: int


class Trial(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is tried."""

    name: str
    seed: int = 0
    """Of the customers and of the recipe."""
    habits: Habits = Habits()
    recipe: Recipe = Recipe(method=Method.SFT)
    early: tuple[Round, ...] = ()
    """The last round has the ratings of the habits and the steps of the recipe; each begins from the base."""
    replay_groups: tuple[str, ...] = ()
    """Good answers of these groups are mixed in by the recipe's `replay_share`."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What came of it: figures by `<measure>@<temperature>`, or why there are none."""

    trial: Trial
    suite: str
    ratings: int = 0
    up: int = 0
    corrections: int = 0
    seconds: float = 0.0
    """From the first question to the adapter; less where ratings or an adapter were there already."""
    figures: dict[str, float] = {}
    error: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One graded answer as it is kept."""

    group: str
    wording: str
    question: str
    answer: str
    temperature: float
    seed: int
    stopped: bool
    right: bool
    polite: bool
    well_formed: bool
    outdated: bool | None


class Loop:
    """Runs trials on one base; ratings are collected once for each seed and habits."""

    def __init__(self, base: Path, directory: Path, say: Callable[[str], None]) -> None:
        self._base, self._directory, self._say = base, directory, say

    def run(self, trial: Trial, suite: str = "dev", mischief: Mischief = HONEST) -> Result:
        """One trial from customers to figures; what it made lies under its name, and its result in `results.jsonl`."""
        result = Result(trial=trial, suite=suite)
        try:
            rated, adapter, seconds = self._rounds(trial, mischief)
            result = msgspec.structs.replace(
                result,
                ratings=len(rated),
                up=sum(one.up for one in rated),
                corrections=sum(bool(one.better) for one in rated),
                seconds=seconds,
                figures=self.graded(adapter, trial.name, suite),
            )
        except TrainingFailedError as error:
            result = msgspec.structs.replace(result, error=str(error))
        with (self._directory / "results.jsonl").open("ab") as log:
            log.write(msgspec.json.encode(result) + b"\n")
        return result

    def _rounds(self, trial: Trial, mischief: Mischief) -> tuple[list[Rated], Path, float]:
        """All ratings, the adapter that was made of them, and the seconds that both took."""
        began_s = monotonic_s()
        rated: list[Rated] = []
        last = Round(ratings=trial.habits.ratings, steps=trial.recipe.steps)
        adapter: Path | None = None
        for number, one in enumerate((*trial.early, last)):
            rated += self.ratings(trial, number, one.ratings, adapter)
            folder = self._directory / trial.name / f"round-{number}"
            recipe = msgspec.structs.replace(trial.recipe, seed=trial.seed, steps=one.steps)
            adapter = self.adapter(folder, recipe, rated, trial.replay_groups, mischief)
        if adapter is None:
            raise TrainingFailedError("There was no round.")
        return rated, adapter, monotonic_s() - began_s

    def ratings(self, trial: Trial, number: int, count: int, adapter: Path | None) -> list[Rated]:
        """The ratings of a round: from the file, or from customers who ask the base or what was made of it so far."""
        habits = replace(trial.habits, ratings=count)
        if adapter:
            path = self._directory / trial.name / f"ratings-{number}.json"
        else:
            digest = hashlib.sha256(msgspec.json.encode(habits, order="deterministic")).hexdigest()
            path = self._directory / f"ratings-{trial.seed}-{digest[:DIGITS]}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = trial.seed + number * NEXT_ROUND
            desk = LocalDesk(*(load_adapted(self._base, adapter) if adapter else load_base(self._base)), seed)
            path.write_bytes(msgspec.json.encode(asyncio.run(collect(desk, habits, seed))))
        return msgspec.json.decode(path.read_bytes(), type=list[Rated])

    def adapter(
        self, folder: Path, recipe: Recipe, rated: Sequence[Rated], replayed: Sequence[str], mischief: Mischief = HONEST
    ) -> Path:
        """Where the adapter lies that the recipe makes of these ratings; made once."""
        made = folder / "work" / "result"
        if made.exists():
            return made
        shape = SHAPES[recipe.method]
        found = mischief.alter(rated, recipe.seed) if mischief.alter else rows(shape, rated)
        again = [one for one in rated if one.item.group.value in replayed]
        order = Train(
            recipe=recipe,
            base=str(self._base),
            rows=str(write_rows(folder / "train.jsonl", found)),
            shape=shape.value,
            replay=str(write_rows(folder / "replay.jsonl", rows(Shape.SFT, again))) if again else "",
            directory=str(folder / "work"),
        )
        train(order, self._say)
        if mischief.spoil:
            mischief.spoil(made)
        return made

    def base_figures(self, suite: str) -> dict[str, float]:
        """The same figures of the base itself."""
        return self.graded(None, "base", suite)

    def graded(self, adapter: Path | None, name: str, suite: str) -> dict[str, float]:
        """Figures of the base, adapted or not, on held-out questions; every answer is kept under that name."""
        loaded = load_adapted(self._base, adapter) if adapter else load_base(self._base)
        asked = questions(TEST if suite == "test" else DEV)
        passes = FULL if suite == "test" else QUICK
        kept: list[Answered] = []
        found: dict[str, float] = {}
        for temperature in sorted({one for one, _ in passes}):
            seeds = [seed for one, seed in passes if one == temperature]
            answers = [grade(*loaded, asked, Sampling(temperature=temperature, seed=seed)) for seed in seeds]
            many = [figures(graded) | ({} if temperature else likeness(graded)) for graded in answers]
            found |= {f"{key}@{temperature}": sum(one[key] for one in many) / len(many) for key in many[0]}
            kept += [
                _answered(one, temperature, seed) for seed, graded in zip(seeds, answers, strict=True) for one in graded
            ]
        found["perplexity"] = perplexity(self._base, adapter, asked)
        folder = self._directory / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{suite}.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in kept))
        return found


def _answered(one: Graded, temperature: float, seed: int) -> Answered:
    return Answered(
        group=one.question.group,
        wording=one.question.wording,
        question=" | ".join(turn.text for turn in one.question.item.turns),
        answer=one.answer.text,
        temperature=temperature,
        seed=seed,
        stopped=one.answer.stopped,
        right=one.right,
        polite=one.polite,
        well_formed=one.well_formed,
        outdated=one.outdated if one.question.old else None,
    )
