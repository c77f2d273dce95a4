"""The steps that look at all rows at once: duplicates, pairs, quarantine; in memory are numbers only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from libs.contracts.datasets import Selection, Shape
from services.feedback.datasets.ledger import LABELS, Ledger
from services.feedback.datasets.quarantine import RULES, Verdicts, admit
from services.feedback.datasets.rows import Label
from services.feedback.datasets.shapes import NONE, USABLE, pair_up
from services.feedback.datasets.similar import I64, U64, Mask, SketchFile, oldest_of_clusters, resolve_equal
from services.feedback.datasets.tally import Tally

REASONS: Final = (
    "",
    "contradicted_by_equal",
    "equal",
    "judged_badly",
    "similar",
    "alike_demonstrations",
    "equal_answers",
    "unpaired",
    *RULES[1:],
)
_SALT: Final = np.uint64(0x2545F4914F6CDD1D)


@dataclass(frozen=True)
class Plan:
    """Which examples the data set is made of."""

    first: I64
    """Ledger rows, ascending: the interaction that a row of the data set is named after."""
    second: I64
    """The rejected one of a pair of two interactions; -1 for none."""
    aside: npt.NDArray[np.int8]
    """For each ledger row, why it stays out: an index into `REASONS`."""
    verdicts: Verdicts | None


class Comparison:
    """Decides, step by step, over the rows of one ledger."""

    def __init__(self, selection: Selection, ledger: Ledger, tally: Tally) -> None:
        self._selection, self._ledger, self._tally = selection, ledger, tally
        self._ranks = ledger.ranks()
        self._labels = ledger.labels()
        self._aside = np.zeros(len(ledger), dtype=np.int8)
        self._alive: Mask = np.ones(len(ledger), dtype=np.bool_)

    def decide(self, texts: SketchFile, demonstrations: SketchFile, pairs_alone: Mask) -> Plan:
        """Run every step.

        Args:
            texts: a sketch of each row's last question and answer.
            demonstrations: a sketch of each demonstration, in the order of their rows.
            pairs_alone: rows whose demonstration differs from the answer given.
        """
        if self._selection.shape is Shape.RAW:
            rows = np.arange(len(self._ledger), dtype=np.int64)
            return Plan(rows, np.full(len(rows), NONE, dtype=np.int64), self._aside, None)
        self._drop_equal()
        self._drop_useless()
        self._drop_similar(texts)
        self._drop_alike_demonstrations(demonstrations)
        self._tally.passed("dissimilar", int(self._alive.sum()))
        first, second = self._entries(pairs_alone)
        first, second, verdicts = self._admit(first, second)
        self._tally.passed("admitted", len(first))
        order = np.argsort(first, kind="stable")
        return Plan(first[order], second[order], self._aside, verdicts)

    def _rows(self) -> I64:
        return np.flatnonzero(self._alive).astype(np.int64)

    def _leave(self, rows: I64, reason: str) -> None:
        self._alive[rows] = False
        self._aside[rows] = REASONS.index(reason)

    def _drop_equal(self) -> None:
        stay, contradicted = resolve_equal(
            self._ledger.digests(), self._ledger.labelled(Label.DOWN), self._ledger.lead_raters(), self._ranks
        )
        self._leave(contradicted, "contradicted_by_equal")
        gone = self._alive.copy()
        gone[stay] = False
        self._leave(np.flatnonzero(gone).astype(np.int64), "equal")
        self._tally.passed("distinct", int(self._alive.sum()))

    def _drop_useless(self) -> None:
        usable = [LABELS.index(label) for label in USABLE[self._selection.shape]]
        self._leave(np.flatnonzero(self._alive & ~np.isin(self._labels, usable)).astype(np.int64), "judged_badly")
        self._tally.passed("usable", int(self._alive.sum()))

    def _drop_similar(self, texts: SketchFile) -> None:
        """Look among rows of one label only: a good and a bad answer that differ by a word are worth having."""
        threshold, rows = self._selection.near_duplicates, self._rows()
        if threshold <= 0:
            return
        salts = (self._labels.astype(np.uint64) + np.uint64(1)) * _SALT
        oldest = oldest_of_clusters(texts.read(), salts, rows, self._ranks, threshold)
        self._leave(rows[oldest != rows], "similar")

    def _drop_alike_demonstrations(self, sketches: SketchFile) -> None:
        rules = self._selection.quarantine
        if not rules.enabled or rules.similarity <= 0:
            return
        written = np.flatnonzero(self._ledger.labelled(Label.DEMONSTRATION)).astype(np.int64)
        leads = self._ledger.lead_raters()
        trusted = list(self._ledger.raters.known(rules.trusted_raters))
        wanted = self._alive[written] & ~np.isin(leads[written], trusted)
        rows = np.flatnonzero(wanted).astype(np.int64)
        salts: U64 = (leads[written].astype(np.uint64) + np.uint64(1)) * _SALT
        oldest = oldest_of_clusters(sketches.read(), salts, rows, self._ranks[written], rules.similarity)
        gone = written[rows[oldest != rows]]
        names = self._ledger.raters.names()
        for row in gone:
            self._tally.blame(names[leads[row]], "alike_demonstrations")
        self._leave(gone, "alike_demonstrations")

    def _entries(self, pairs_alone: Mask) -> tuple[I64, I64]:
        """First and second row of everything that could be a row of the data set."""
        rows = self._rows()
        nobody = np.full(len(rows), NONE, dtype=np.int64)
        if self._selection.shape is not Shape.PREFERENCE:
            return rows, nobody
        shown = self._ledger.labelled(Label.DEMONSTRATION)
        alone = rows[shown[rows] & pairs_alone[rows]]
        self._leave(rows[shown[rows] & ~pairs_alone[rows]], "equal_answers")
        # One word decides: prompts are told apart by 64 bits, splits by what is added to them.
        groups = self._ledger.prompts() + self._ledger.splits().astype(np.uint64) * _SALT
        chosen, rejected = pair_up(
            rows, self._ledger.labelled(Label.UP), self._ledger.labelled(Label.DOWN), groups, self._ranks
        )
        single = ~np.isin(rows, np.concatenate((alone, chosen, rejected))) & ~shown[rows]
        self._leave(rows[single], "unpaired")
        first = np.concatenate((alone, chosen))
        self._tally.passed("paired", len(first))
        return first, np.concatenate((np.full(len(alone), NONE, dtype=np.int64), rejected))

    def _admit(self, first: I64, second: I64) -> tuple[I64, I64, Verdicts]:
        rules = self._selection.quarantine
        by_age = np.argsort(
            np.maximum(self._ranks[first], np.where(second == NONE, -1, self._ranks[second])), kind="stable"
        )
        first, second = first[by_age], second[by_age]
        trusted = self._ledger.raters.known(rules.trusted_raters)
        verdicts = admit(self._sides(first, second), trusted, rules)
        names = self._ledger.raters.names()
        for owner, reasons in verdicts.put_aside.items():
            for reason, count in reasons.items():
                self._tally.blame(names[owner], reason, count)
        stays = verdicts.rules == 0
        for code, rule in enumerate(RULES):
            for rows in (first, second):
                gone = rows[verdicts.rules == code]
                if rule:
                    self._leave(gone[gone != NONE], rule)
        return first[stays], second[stays], verdicts

    def _sides(self, first: I64, second: I64) -> Iterator[Sequence[Sequence[int]]]:
        for row, other in zip(first.tolist(), second.tolist(), strict=True):
            side = self._ledger.owners(row)
            yield (side,) if other == NONE else (side, self._ledger.owners(other))
