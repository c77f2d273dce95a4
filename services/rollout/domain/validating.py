"""Whether a plan can be carried out at all."""

from itertools import pairwise
from typing import Final

from libs.contracts.rollouts import RolloutPlan, Step
from libs.contracts.versions import ALIAS, NAME
from libs.kit.errors import ServiceError

CHALLENGER: Final = "challenger"
"""Has workers load the candidate."""
LAST_GOOD: Final = "last-good"
"""Has workers keep the last good version when the champion is another one."""
_MOST_STEPS: Final = 20
_MOST_S: Final = 90 * 86_400.0
_MOST_COUNT: Final = 1_000_000_000


def check_plan(plan: RolloutPlan) -> None:
    """Return if the plan makes sense; that its versions exist is another question.

    Raises:
        ServiceError: `missing_field`, `invalid_value`, with the field at fault.
    """
    for field in ("name", "candidate"):
        if not getattr(plan, field):
            raise ServiceError("missing_field", f"A rollout needs a {field}.", param=field)
    _require(NAME.fullmatch(plan.name) is not None, "name", f"`{plan.name[:80]}` is not a model name")
    _require(ALIAS.fullmatch(plan.alias) is not None, "alias", f"`{plan.alias[:80]}` is not an alias")
    _require(plan.alias not in (CHALLENGER, LAST_GOOD), "alias", f"{plan.alias} is what rollouts themselves use")
    _check_steps(plan.steps)
    guards = [one.guard for one in plan.margins]
    _require(len(set(guards)) == len(guards), "margins", "each guard may have one margin")
    for number, one in enumerate(plan.margins):
        _require(0 <= one.margin < 1, f"margins[{number}].margin", "it must be at least 0 and below 1")
    for field in ("false_alarm", "promotion_error", "promotion_margin"):
        _require(0 < getattr(plan, field) < 1, field, "it must be above 0 and below 1")
    _require(0 <= plan.holdback < 1, "holdback", "it must be at least 0 and below 1")
    for field in ("prepare_s", "watch_s"):
        _require(0 <= getattr(plan, field) <= _MOST_S, field, f"it must be from 0 to {_MOST_S:g}")
    _require(0 <= plan.min_tag_signals <= _MOST_COUNT, "min_tag_signals", f"it must be from 0 to {_MOST_COUNT}")


def _check_steps(steps: tuple[Step, ...]) -> None:
    canaries = [step for step in steps if not step.shadow]
    _require(bool(canaries), "steps", "at least one step must show the candidate's answers")
    _require(len(steps) <= _MOST_STEPS, "steps", f"there may be {_MOST_STEPS} at most")
    _require(not any(step.shadow for step in steps[-len(canaries) :]), "steps", "shadow steps come first")
    rising = all(one.share < other.share for one, other in pairwise(canaries))
    _require(rising, "steps", "the shares of the steps that show its answers must rise")
    for number, step in enumerate(steps):
        field = f"steps[{number}]"
        _require(0 < step.share < 1, f"{field}.share", "it must be above 0 and below 1")
        _require(0 <= step.min_s <= step.max_s <= _MOST_S, f"{field}.max_s", f"0 ≤ min_s ≤ max_s ≤ {_MOST_S:g}")
        for count in ("min_requests", "min_signals"):
            enough = 0 <= getattr(step, count) <= _MOST_COUNT
            _require(enough, f"{field}.{count}", f"it must be from 0 to {_MOST_COUNT}")


def _require(holds: bool, field: str, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ServiceError("invalid_value", f"{field}: {why}.", param=field)
