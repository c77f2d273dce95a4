"""Second step: what the judgements of one interaction amount to."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from libs.contracts.feedback import SignalKind
from services.feedback.datasets.rows import Judgement, Label
from services.feedback.datasets.select import IMPLICIT


@dataclass(frozen=True)
class Verdict:
    """A label, who decided it, and whether anybody disagreed."""

    label: Label
    raters: tuple[str, ...] = ()
    better: str = ""
    is_contradicted: bool = False


def judge(signals: Iterable[Judgement], min_score: float) -> Verdict:
    """Resolve the signals of one interaction.

    A demonstration beats thumbs and scores; of several the one that weighs most, then the newest. A demonstration of
    a whole episode is no answer to one of its requests and does not count. Each rater has one vote, the newest of
    their thumbs and scores, explicit ones before implicit ones and those about the interaction before those about its
    episode; the heavier side wins, and a tie gives `Label.NONE`, contradicted.
    """
    signals = list(signals)
    demonstrations = [s for s in signals if s.kind is SignalKind.DEMONSTRATION and not s.of_episode]
    if demonstrations:
        best = max(demonstrations, key=lambda s: (s.source not in IMPLICIT, s.weight, s.recorded_ms, s.id))
        return Verdict(Label.DEMONSTRATION, (best.rater,), str(best.value))
    votes = _votes(signals)
    ups = [vote for vote in votes if _is_up(vote, min_score)]
    downs = [vote for vote in votes if not _is_up(vote, min_score)]
    # An exact sum: the order in which signals arrived must not decide a close vote.
    weight_up, weight_down = math.fsum(s.weight for s in ups), math.fsum(s.weight for s in downs)
    contradicted = bool(ups and downs)
    if weight_up == weight_down:
        return Verdict(Label.NONE, is_contradicted=contradicted)
    label, winners = (Label.UP, ups) if weight_up > weight_down else (Label.DOWN, downs)
    return Verdict(label, tuple(sorted({vote.rater for vote in winners})), is_contradicted=contradicted)


def _votes(signals: Iterable[Judgement]) -> list[Judgement]:
    votes: dict[str, Judgement] = {}
    for signal in signals:
        if signal.kind in (SignalKind.THUMB, SignalKind.SCORE):
            other = votes.get(signal.rater)
            if other is None or _rank(signal) > _rank(other):
                votes[signal.rater] = signal
    return list(votes.values())


def _rank(signal: Judgement) -> tuple[bool, bool, int, str]:
    return signal.source not in IMPLICIT, not signal.of_episode, signal.recorded_ms, signal.id


def _is_up(signal: Judgement, min_score: float) -> bool:
    if signal.kind is SignalKind.THUMB:
        return bool(signal.value)
    return float(signal.value) >= min_score
