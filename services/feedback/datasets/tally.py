"""Counts what each step leaves, and writes down what was put aside and why."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

STEPS: Final = (
    "read",
    "selected",
    "judged",
    "labelled",
    "sound",
    "distinct",
    "usable",
    "dissimilar",
    "paired",
    "admitted",
)
"""In order; a shape that has no use for one leaves it out."""


class Tally:
    """Counts of one build; `put_aside.jsonl` names every selected row that did not get in."""

    def __init__(self, report: Path) -> None:
        self.steps: dict[str, int] = {"read": 0}
        self.reasons: Counter[str] = Counter()
        self.raters: dict[str, Counter[str]] = {}
        """Rater → rule of the quarantine → rows or signals put aside."""
        self._report: IO[bytes] = report.open("wb", buffering=1 << 20)

    def passed(self, step: str, rows: int = 1) -> None:
        """`rows` more got through `step`."""
        self.steps[step] = self.steps.get(step, 0) + rows

    def aside(self, request_id: str, reason: str) -> None:
        """This row stays out."""
        self.reasons[reason] += 1
        self._report.write(msgspec.json.encode({"id": request_id, "reason": reason}) + b"\n")

    def blame(self, rater: str, rule: str, count: int = 1) -> None:
        """The quarantine put aside something of this rater's."""
        self.raters.setdefault(rater, Counter())[rule] += count

    def close(self) -> None:
        """Finish the report."""
        self._report.close()

    def counts(self, splits: Mapping[str, int] | None = None) -> dict[str, int]:
        """Rows left after each step so far, in order; then rows of each split."""
        left = {step: self.steps[step] for step in STEPS if step in self.steps}
        return left | {f"split.{name}": rows for name, rows in sorted((splits or {}).items())}
