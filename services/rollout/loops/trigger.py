"""Whether a turn begins: a function of what was declared, what has happened, and the time."""

from dataclasses import dataclass
from typing import Final

from libs.contracts.rollouts import TURN_ENDED, Loop, Turn

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has happened so far."""

    last: Turn | None = None
    """The newest turn."""
    begun_ms: tuple[int, ...] = ()
    """When the turns of the last 24 hours began, in any order."""
    signals: int | None = None
    """Judgements since the newest turn began; None where nobody has counted them."""


def keeps(loop: Loop, standing: Standing, now_ms: int) -> str:
    """What forbids a turn, whoever asks for it; empty if nothing does."""
    if loop.paused:
        return "it is paused"
    last = standing.last
    if last is not None and last.state not in TURN_ENDED:
        return f"turn {last.number} is {last.state.value}"
    recent = sorted(time_ms for time_ms in standing.begun_ms if time_ms > now_ms - DAY_MS)
    if len(recent) >= loop.budget.turns_per_day:
        free_ms = recent[-loop.budget.turns_per_day] + DAY_MS
        return f"{len(recent)} turns began in 24 hours, as many as may; the next in {_seconds(free_ms - now_ms)}"
    return ""


def waits_for(loop: Loop, standing: Standing, now_ms: int) -> str:
    """What keeps the next turn from beginning by itself; empty if nothing does, and it begins."""
    if why := keeps(loop, standing, now_ms):
        return why
    last = standing.last
    if last is not None and (left_ms := last.began_ms + round(loop.trigger.min_interval_s * 1_000) - now_ms) > 0:
        return f"turn {last.number} began a short while ago; the next in {_seconds(left_ms)}"
    if standing.signals is None:
        return "judgements have not been counted yet"
    if standing.signals < loop.trigger.signals:
        return f"{standing.signals} of {loop.trigger.signals} judgements"
    return ""


def _seconds(left_ms: int) -> str:
    return f"{-(-left_ms // 1_000)} s"
