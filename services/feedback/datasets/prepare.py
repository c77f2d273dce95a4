"""The steps that look at one row alone: select, label, normalise, redact, quality."""

from collections import Counter
from typing import Any, Final

import msgspec

from libs.contracts.datasets import Selection, Shape
from services.feedback.datasets.labels import Verdict, judge
from services.feedback.datasets.normalise import each_text, normalise
from services.feedback.datasets.quality import flaw, plain
from services.feedback.datasets.redact import Redactor
from services.feedback.datasets.rows import Example, JoinedRow, Judgement, Label, Message
from services.feedback.datasets.select import considered, current, is_selected, outside_bursts
from services.feedback.datasets.tally import Tally

_MOST_REMEMBERED: Final = 4_096
_LONGEST_REMEMBERED: Final = 65_536
_WORDS: Final = {
    word: word for word in ("role", "content", "system", "user", "assistant", "tool", "name", "tool_calls")
}


class Cleaner:
    """Normalises and redacts the texts of one episode; a conversation's turns repeat what was said before."""

    def __init__(self, *, redact: bool) -> None:
        self._redactor = Redactor() if redact else None
        self._seen: dict[str, str] = dict(_WORDS)

    @property
    def replaced(self) -> Counter[str]:
        """Pieces redacted, by kind; a text that comes again counts once."""
        return Counter() if self._redactor is None else self._redactor.replaced

    def clean(self, text: str) -> str:
        """The text as the data set shows it.

        Normalised first, so that a recogniser sees an address as it was meant.
        """
        known = self._seen.get(text)
        if known is not None:
            return known
        result = normalise(text)
        if self._redactor is not None:
            result = self._redactor.redact(result)
        if len(text) <= _LONGEST_REMEMBERED and len(self._seen) < _MOST_REMEMBERED:
            self._seen[text] = result
        return result


class Preparer:
    """Turns rows into examples; the rows of an episode must come one after another."""

    def __init__(self, selection: Selection, tally: Tally, bursts: frozenset[tuple[str, int]]) -> None:
        self._selection, self._tally, self._bursts = selection, tally, bursts
        self._unit: str | None = None
        self._cleaner = Cleaner(redact=selection.redact)
        self.redacted: Counter[str] = Counter()

    def prepare(self, row: JoinedRow) -> Example | None:
        """The example, or None if the row stays out; the tally knows why."""
        self._tally.passed("read")
        if not is_selected(row, self._selection):
            return None
        self._tally.passed("selected")
        self._enter(row.unit)
        if self._selection.shape is Shape.RAW:
            return self._raw(row)
        verdict = self._verdict(row)
        if verdict is None:
            return None
        example = self._example(row, verdict)
        if example is None:
            return None
        reason = flaw(example, self._selection, truncated=row.truncated)
        if reason:
            self._tally.aside(row.request_id, reason)
            return None
        self._tally.passed("sound")
        return example

    def finish(self) -> None:
        """No more rows come."""
        self._enter(None)

    def _enter(self, unit: str | None) -> None:
        if unit != self._unit:
            self.redacted.update(self._cleaner.replaced)
            self._unit, self._cleaner = unit, Cleaner(redact=self._selection.redact)

    def _verdict(self, row: JoinedRow) -> Verdict | None:
        signals = considered(row, self._selection)
        if not signals:
            return None
        self._tally.passed("judged")
        calm = outside_bursts(signals, self._bursts) if self._bursts else signals
        for signal in signals if len(calm) < len(signals) else ():
            if signal not in calm:
                self._tally.blame(signal.rater, "burst")
        verdict = judge(calm, self._selection.min_score)
        if verdict.label is Label.NONE:
            burst = "burst" if len(calm) < len(signals) else "no_verdict"
            self._tally.aside(row.request_id, "contradicted" if verdict.is_contradicted else burst)
            return None
        if verdict.is_contradicted:
            self._tally.reasons["contradictions_resolved"] += 1
        if row.outcome != "ok" and verdict.label is not Label.DEMONSTRATION:
            self._tally.aside(row.request_id, "failed")
            return None
        self._tally.passed("labelled")
        return verdict

    def _example(self, row: JoinedRow, verdict: Verdict) -> Example | None:
        prompt = self._messages(row.messages)
        answer = None if row.answer is None else plain(row.answer)
        if prompt is None or (row.answer is not None and answer is None):
            self._tally.aside(row.request_id, "not_text")
            return None
        clean = self._cleaner.clean
        return Example(
            id=row.request_id,
            unit=row.unit,
            time_ms=row.time_ms,
            model_version=row.model_version,
            prompt=prompt,
            answer=each_text(answer, clean),
            label=verdict.label,
            better=clean(verdict.better),
            raters=verdict.raters,
        )

    def _messages(self, messages: Any) -> list[Message] | None:
        if not isinstance(messages, list):
            return None
        found = [plain(message) for message in messages]
        return None if None in found else [each_text(message, self._cleaner.clean) for message in found]

    def _raw(self, row: JoinedRow) -> Example | None:
        """Raw rows are judged by nobody here, so that they show what happened."""
        example = self._example(row, Verdict(Label.NONE))
        if example is None:
            return None
        signals = tuple(self._cleaned(signal) for signal in current(row.signals, self._selection.until_ms))
        return msgspec.structs.replace(example, signals=signals)

    def _cleaned(self, signal: Judgement) -> Judgement:
        if isinstance(signal.value, str):
            return msgspec.structs.replace(signal, value=self._cleaner.clean(signal.value))
        return signal
