"""Which plans can be carried out at all; said at once, not after an hour."""

import math
import re
from collections.abc import Iterable
from typing import Final

from libs.contracts.datasets import Shape
from libs.contracts.evaluation import EvaluationPlan, Measure, Task
from libs.contracts.training import Method, Recipe, TrainingPlan
from libs.contracts.versions import NAME
from libs.kit.errors import ServiceError

TEXT: Final = "text"
"""Shape of rows that hold only `text`; beside `Shape`."""
_SHAPES: Final[dict[Method, tuple[str, ...]]] = {
    Method.AUTO: (Shape.SFT, Shape.PREFERENCE, Shape.KTO),
    Method.SFT: (Shape.SFT,),
    Method.DPO: (Shape.PREFERENCE,),
    Method.KTO: (Shape.KTO,),
    Method.PRETRAIN: (TEXT,),
}
_SPLIT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TASK: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TASKS: Final = 64
_LEAST: Final[dict[str, int]] = {
    "rank": 1,
    "steps": 0,
    "batch_rows": 1,
    "accumulation": 1,
    "max_tokens": 8,
    "demonstration_weight": 1,
    "seed": 0,
    "checkpoint_steps": 1,
    "threads": 1,
    "devices": 1,
}
_MOST_RANK: Final = 1_024


def check_training(plan: TrainingPlan) -> None:
    """Accept a plan of a training by what it says.

    Raises:
        ServiceError: `invalid_value` or `missing_field`, naming the field.
    """
    if NAME.fullmatch(plan.name) is None:
        raise bad("name", "must be lower-case letters, digits, `.`, `_`, `-`; at most 64")
    if not plan.dataset:
        raise ServiceError("missing_field", "Say which data set: `dataset` is empty.", param="dataset")
    if _SPLIT.fullmatch(plan.split) is None:
        raise bad("split", "must be letters, digits, `_`, `-`; at most 64")
    if not plan.base and plan.recipe.method is not Method.PRETRAIN:
        raise ServiceError("missing_field", "Say what to teach: only `pretrain` needs no `base`.", param="base")
    check_recipe(plan.recipe)
    if plan.evaluation is not None:
        check_evaluation(plan.evaluation, inside="evaluation.")
        if plan.evaluation.candidate:
            raise bad("evaluation.candidate", "is the version that this training makes; leave it away")


def check_recipe(recipe: Recipe) -> None:
    """Accept a recipe's numbers.

    Raises:
        ServiceError: `invalid_value`, naming the field.
    """
    for name, least in _LEAST.items():
        if getattr(recipe, name) < least:
            raise bad(f"recipe.{name}", f"must be at least {least}")
    if recipe.rank > _MOST_RANK:
        raise bad("recipe.rank", f"must be at most {_MOST_RANK}")
    if recipe.accumulation > recipe.batch_rows:
        raise bad("recipe.accumulation", "must not be more than batch_rows, which it divides")
    _check_number("recipe.learning_rate", recipe.learning_rate)
    _check_number("recipe.alpha", recipe.alpha, above=True)
    _check_number("recipe.sft_weight", recipe.sft_weight or 0.0)
    if recipe.beta is not None:
        _check_number("recipe.beta", recipe.beta, above=True)
    if not 0 <= recipe.replay_share < 1:
        raise bad("recipe.replay_share", "must be from 0 to below 1")
    if recipe.replay_share and not recipe.replay:
        raise ServiceError("missing_field", "`recipe.replay_share` needs `recipe.replay`.", param="recipe.replay")


def check_evaluation(plan: EvaluationPlan, *, inside: str = "") -> None:
    """Accept a plan of an evaluation by what it says.

    Raises:
        ServiceError: `invalid_value` or `missing_field`, naming the field.
    """
    if not 1 <= len(plan.tasks) <= _MOST_TASKS:
        raise bad(f"{inside}tasks", f"must be from 1 to {_MOST_TASKS}")
    for task in plan.tasks:
        _check_task(task, f"{inside}tasks")
    names = [task.name for task in plan.tasks]
    if len(set(names)) < len(names):
        raise bad(f"{inside}tasks", "must have different names")
    if not plan.temperatures or any(not 0 <= each <= 2 or math.isnan(each) for each in plan.temperatures):
        raise bad(f"{inside}temperatures", "must be one or more from 0 to 2")
    if plan.samples < 1:
        raise bad(f"{inside}samples", "must be at least 1")
    if not 0 < plan.near_duplicates <= 1:
        raise bad(f"{inside}near_duplicates", "must be above 0 and at most 1")
    if plan.judge is not None and bool(plan.judge.model) == bool(plan.judge.rule):
        raise bad(f"{inside}judge", "must name either a `model` or a `rule`")
    if not 0 < plan.gate.confidence < 1:
        raise bad(f"{inside}gate.confidence", "must be between 0 and 1")
    for rule in plan.gate.rules:
        _check_metric(rule.metric, names, f"{inside}gate.rules")


def check_shape(method: Method, shape: str, *, param: str) -> None:
    """Accept rows of `shape` for `method`; an empty shape is one that nobody has declared.

    Raises:
        ServiceError: `bad_dataset`.
    """
    wanted = _SHAPES[method]
    if shape and shape not in wanted:
        text = f"The method {method.value} takes rows of shape {' or '.join(wanted)}, not {shape}."
        raise ServiceError("bad_dataset", text, param=param)


def shape_of_row(names: Iterable[str]) -> str:
    """The shape of a row with fields of these names; empty where there is none."""
    have = set(names)
    for shape, fields in (
        (Shape.PREFERENCE, {"prompt", "chosen", "rejected"}),
        (Shape.KTO, {"prompt", "completion", "label"}),
        (Shape.EVALUATION, {"messages", "reference"}),
        (Shape.SFT, {"messages"}),
        (TEXT, {"text"}),
    ):
        if fields <= have:
            return str(shape)
    return ""


def bad(field: str, what: str) -> ServiceError:
    """The refusal of one field."""
    return ServiceError("invalid_value", f"`{field}` {what}.", param=field)


def _check_task(task: Task, where: str) -> None:
    if _TASK.fullmatch(task.name) is None:
        raise bad(f"{where}.name", "must be letters, digits, `_`, `.`, `-`; at most 64")
    if bool(task.dataset) == bool(task.file):
        raise bad(where, f"({task.name}) must name either a `dataset` or a `file`")
    if _SPLIT.fullmatch(task.split) is None:
        raise bad(f"{where}.split", "must be letters, digits, `_`, `-`; at most 64")
    if not task.measures and not task.rules:
        raise bad(where, f"({task.name}) must have a measure or a rule")
    if task.limit < 0 or task.max_tokens < 1:
        raise bad(where, f"({task.name}): limit must be at least 0, max_tokens at least 1")


def _check_metric(metric: str, tasks: list[str], where: str) -> None:
    task, slash, measure = metric.partition("/")
    if not slash or task not in tasks or not measure:
        known = ", ".join(each.value for each in Measure)
        raise bad(where, f"({metric[:80]}) must be `<task>/<measure>`, the measure being one of {known}, or a rule")


def _check_number(name: str, value: float, *, above: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (above and value == 0):
        raise bad(name, f"must be a number {'above' if above else 'of at least'} 0")
