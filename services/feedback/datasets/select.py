"""First step: which interactions, and which of their signals, a selection speaks of."""

from collections.abc import Iterable

import msgspec

from libs.contracts.datasets import Selection
from libs.contracts.feedback import Source
from services.feedback.datasets.rows import JoinedRow, Judgement

IMPLICIT = frozenset({Source.REGENERATED, Source.EDITED, Source.COPIED, Source.ABANDONED})


def pinned(selection: Selection, now_ms: int) -> Selection:
    """The selection with its end fixed, so that a later build of it sees the same rows."""
    if 0 < selection.until_ms <= now_ms:
        return selection
    return msgspec.structs.replace(selection, until_ms=now_ms)


def current(signals: Iterable[Judgement], until_ms: int) -> tuple[Judgement, ...]:
    """The signals that held at `until_ms`: recorded before, and not superseded by one recorded before; oldest first."""
    known = [signal for signal in signals if not until_ms or signal.recorded_ms < until_ms]
    gone = {signal.supersedes for signal in known if signal.supersedes}
    held = (signal for signal in known if signal.id not in gone and not signal.superseded_by)
    return tuple(sorted(held, key=lambda s: (s.recorded_ms, s.id)))


def considered(row: JoinedRow, selection: Selection) -> tuple[Judgement, ...]:
    """The current signals that may decide: of the raters asked for, and implicit ones only if asked."""
    found = current(row.signals, selection.until_ms)
    if selection.raters:
        found = tuple(signal for signal in found if signal.rater in selection.raters)
    if not selection.include_implicit:
        found = tuple(signal for signal in found if signal.source not in IMPLICIT)
    return found


def outside_bursts(signals: Iterable[Judgement], bursts: frozenset[tuple[str, int]]) -> tuple[Judgement, ...]:
    """The signals that were not recorded in one of these (rater, minute)."""
    return tuple(signal for signal in signals if (signal.rater, minute_of(signal.recorded_ms)) not in bursts)


def minute_of(time_ms: int) -> int:
    """Minutes since 1970. Bursts go by the time of recording: a signal's own time is whatever its sender says."""
    return time_ms // 60_000


def is_selected(row: JoinedRow, selection: Selection) -> bool:
    """Whether tenant, time, version, tags and raters fit, and there is content; judged or not."""
    if row.erased or row.messages is None or row.tenant != selection.tenant:
        return False
    if row.time_ms < selection.since_ms or (selection.until_ms and row.time_ms >= selection.until_ms):
        return False
    if selection.model_versions and row.model_version not in selection.model_versions:
        return False
    if not (selection.tags or selection.raters):
        return True
    held = current(row.signals, selection.until_ms)
    tags = {tag for signal in held for tag in signal.tags}
    raters = {signal.rater for signal in held}
    return (not selection.tags or not tags.isdisjoint(selection.tags)) and (
        not selection.raters or not raters.isdisjoint(selection.raters)
    )
