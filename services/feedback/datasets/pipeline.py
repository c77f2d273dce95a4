"""All steps in order: rows go in batch by batch, a directory comes out. The same rows give the same bytes."""

from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from libs.contracts.datasets import Selection
from libs.kit.errors import ServiceError
from services.feedback.datasets import manifest
from services.feedback.datasets.compare import REASONS, Comparison, Plan
from services.feedback.datasets.ledger import Ledger
from services.feedback.datasets.order import ROW_IDS
from services.feedback.datasets.output import SplitWriter
from services.feedback.datasets.prepare import Preparer
from services.feedback.datasets.quality import text_of
from services.feedback.datasets.rows import Example, JoinedRow, Label
from services.feedback.datasets.shapes import NONE, USABLE, is_pair_by_itself, record
from services.feedback.datasets.similar import Sketcher, SketchFile
from services.feedback.datasets.split import split_of
from services.feedback.datasets.tally import Tally

PUT_ASIDE: Final = "put_aside.jsonl"
_REJECTED: Final = -2
_LEFT_OUT: Final = -3


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    rows: int
    counts: dict[str, int]


class Pipeline:
    """One build; `feed` it rows ordered by episode (interactions without one by their id), time and id."""

    def __init__(
        self, selection: Selection, output: Path, work: Path, bursts: frozenset[tuple[str, int]] = frozenset()
    ) -> None:
        self._selection, self._output = selection, output
        self._names = sorted(selection.splits)
        self.tally = Tally(output / PUT_ASIDE)
        self._preparer = Preparer(selection, self.tally, bursts)
        self._ledger = Ledger(work / "examples")
        self._sketcher = Sketcher()
        self._texts = SketchFile(work / "texts")
        self._demonstrations = SketchFile(work / "demonstrations")
        self._pairs_alone = array("b")

    def feed(self, rows: Iterable[JoinedRow]) -> None:
        """Take in more rows."""
        for row in rows:
            example = self._preparer.prepare(row)
            if example is not None:
                self._keep(example)

    def finish(self) -> Built:
        """Compare, pair, put aside, write.

        Raises:
            ServiceError: `invalid_value`, nothing is left; the message says after which step.
        """
        self._preparer.finish()
        comparison = Comparison(self._selection, self._ledger, self.tally)
        pairs_alone = np.frombuffer(self._pairs_alone, dtype=np.int8).astype(np.bool_)
        plan = comparison.decide(self._texts, self._demonstrations, pairs_alone)
        if not len(plan.first):
            self.tally.close()
            for code, rows in enumerate(np.bincount(plan.aside).tolist()):
                if code:
                    self.tally.reasons[REASONS[code]] += rows
            raise _empty(self._selection, self.tally)
        return self._write(plan)

    def _keep(self, example: Example) -> None:
        self._ledger.add(example, self._names.index(self._split(example)))
        question = text_of(example.prompt[-1]) if example.prompt else ""
        if self._selection.near_duplicates <= 0 or example.label not in USABLE[self._selection.shape]:
            self._texts.skip()
        else:
            self._texts.add(self._sketcher.sketch(f"{question}\n{text_of(example.completion)}"))
        shown = example.label is Label.DEMONSTRATION
        if shown:
            self._demonstrations.add(self._sketcher.sketch(example.better))
        self._pairs_alone.append(shown and is_pair_by_itself(example))

    def _split(self, example: Example) -> str:
        return split_of(example.unit, self._selection.seed, self._selection.splits)

    def _write(self, plan: Plan) -> Built:
        strata: dict[str, Counter[str]] = {name: Counter() for name in self._names}
        with ExitStack() as stack:
            reader = stack.enter_context(self._ledger.walk())
            ids = stack.enter_context((self._output / ROW_IDS).open("w", encoding="utf-8", newline="\n"))
            writers = {
                name: stack.enter_context(SplitWriter(self._output, name, self._selection.shape))
                for name in self._names
            }
            partners = _partners(plan, len(self._ledger))
            for row, partner in enumerate(partners):
                example = reader.read(row)
                if partner == _LEFT_OUT:
                    self.tally.aside(example.id, REASONS[plan.aside[row]])
                    continue
                ids.write(example.id + "\n")
                if partner != _REJECTED:
                    other = None if partner == NONE else reader.jump(partner)
                    split = self._split(example)
                    writers[split].add(record(self._selection.shape, example, other))
                    strata[split][example.label] += 1
        self.tally.close()
        splits = {name: writer.rows for name, writer in writers.items()}
        facts = manifest.Facts(
            selection=self._selection,
            tally=self.tally,
            splits=splits,
            strata=strata,
            redacted=self._preparer.redacted,
            verdicts=plan.verdicts,
        )
        manifest.write(self._output, facts)
        return Built(len(plan.first), self.tally.counts(splits))


def _partners(plan: Plan, rows: int) -> "array[int]":
    """For each ledger row the row it is shown with, or that it stands alone, is shown with another, or stays out."""
    partners = np.full(rows, _LEFT_OUT, dtype=np.int64)
    partners[plan.second[plan.second != NONE]] = _REJECTED
    partners[plan.first] = plan.second
    return array("q", partners.tobytes())


def _empty(selection: Selection, tally: Tally) -> ServiceError:
    left = ", ".join(f"{step} {rows}" for step, rows in tally.counts().items())
    why = ", ".join(f"{reason} {rows}" for reason, rows in sorted((+tally.reasons).items()))
    text = f"Nothing is left for a data set of shape {selection.shape}: {left}."
    return ServiceError("invalid_value", text + (f" Put aside: {why}." if why else ""), param="selection")
