"""Which loops can turn at all; said when one is declared, not at night when its first turn fails."""

import math
from typing import Final

from libs.contracts.rollouts import Loop
from libs.contracts.versions import NAME, BadReferenceError, parse_reference
from libs.kit.errors import ServiceError
from libs.kit.selections import check_selection
from libs.kit.training_plans import bad, check_evaluation, check_recipe, check_shape

SPLIT: Final = "train"
"""Of the data set; what is taught."""


def check_loop(loop: Loop) -> None:
    """Accept a loop by what it says; its rollout plan is looked at by whoever carries out rollouts.

    Raises:
        ServiceError: `invalid_value`, `missing_field` or `bad_dataset`, naming the field.
    """
    for field in ("name", "model"):
        if NAME.fullmatch(getattr(loop, field)) is None:
            raise bad(field, "must be lower-case letters, digits, `.`, `_`, `-`; at most 64")
    _check_base(loop.base)
    _check_selection(loop)
    check_recipe(loop.recipe)
    check_shape(loop.recipe.method, loop.selection.shape, param="selection.shape")
    _check_evaluation(loop)
    _check_numbers(loop)
    _check_rollout(loop)


def _check_base(base: str) -> None:
    if not base:
        return
    try:
        parse_reference(base)
    except BadReferenceError as error:
        raise ServiceError("invalid_value", f"`base`: {error}", param="base") from error


def _check_selection(loop: Loop) -> None:
    try:
        check_selection(loop.selection)
    except ServiceError as error:
        raise ServiceError(error.code, error.message, param=f"selection.{error.param}") from error
    if loop.tenant not in ("", loop.selection.tenant):
        raise bad("selection.tenant", "must be the loop's own")
    if loop.selection.until_ms:
        raise bad("selection.until_ms", "is set by each turn, which selects what was judged before it began")
    if SPLIT not in loop.selection.splits:
        raise bad("selection.splits", f"must have a split `{SPLIT}`: it is what is taught")


def _check_evaluation(loop: Loop) -> None:
    check_evaluation(loop.evaluation, inside="evaluation.")
    if loop.tenant and any(task.file for task in loop.evaluation.tasks):
        raise bad("evaluation.tasks", "must name a data set each: files of the trainer are the platform's")
    if loop.evaluation.candidate:
        raise bad("evaluation.candidate", "is the version that a turn makes; leave it away")
    if loop.evaluation.baseline:
        raise bad("evaluation.baseline", f"is the champion of {loop.model} when a turn begins; leave it away")


def _check_numbers(loop: Loop) -> None:
    if loop.trigger.signals < 1:
        raise bad("trigger.signals", "must be at least 1")
    if loop.budget.turns_per_day < 1:
        raise bad("budget.turns_per_day", "must be at least 1; a loop that is to do nothing is `paused`")
    for field, number in (
        ("trigger.min_interval_s", loop.trigger.min_interval_s),
        ("budget.turn_s", loop.budget.turn_s),
        ("window_s", loop.window_s),
    ):
        if not math.isfinite(number) or number < 0:
            raise bad(field, "must be a number of at least 0")
    if loop.budget.turn_s <= (least_s := rollout_s(loop)):
        text = f"must be more than {least_s:g}: its rollout takes so long at least, and is cut off then"
        raise bad("budget.turn_s", text)


def rollout_s(loop: Loop) -> float:
    """How long the rollout of a turn takes at least."""
    return sum(step.min_s for step in loop.rollout.steps) + loop.rollout.watch_s


def _check_rollout(loop: Loop) -> None:
    if loop.rollout.name not in ("", loop.model):
        raise bad("rollout.name", f"is the loop's model ({loop.model}); leave it away")
    if loop.rollout.candidate:
        raise bad("rollout.candidate", "is the version that a turn makes; leave it away")
