"""What an evaluation plan must be before anybody is asked."""

import math
import re
from typing import Final

import msgspec

from libs.contracts.evaluation import EvaluationPlan, Task
from libs.kit.errors import ServiceError
from services.trainer.evaluation.defaults import default_gate
from services.trainer.evaluation.gate import check_gate
from services.trainer.evaluation.items import Item, TaskItems
from services.trainer.evaluation.rules import rule_of

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")
_MOST_SAMPLES: Final = 64
_MOST_CONCURRENCY: Final = 256
_HIGHEST_TEMPERATURE: Final = 2.0


def check_plan(plan: EvaluationPlan) -> None:
    """Whether the plan can be carried out.

    Raises:
        ServiceError: `invalid_value`, it cannot; the message says why.
    """
    names = [task.name for task in plan.tasks]
    if not names or len(set(names)) != len(names) or any(_NAME.fullmatch(name) is None for name in names):
        raise _bad("tasks", "need one name each, of letters, digits, dots, dashes and blanks")
    if not plan.temperatures or not all(0 <= t <= _HIGHEST_TEMPERATURE for t in plan.temperatures):
        raise _bad("temperatures", "are one or more numbers from 0 to 2")
    if len(set(plan.temperatures)) != len(plan.temperatures):
        raise _bad("temperatures", "must differ")
    if not 1 <= plan.samples <= _MOST_SAMPLES or not 1 <= plan.concurrency <= _MOST_CONCURRENCY:
        raise _bad("samples", f"are 1 to {_MOST_SAMPLES}, and concurrency 1 to {_MOST_CONCURRENCY}")
    if not math.isfinite(plan.near_duplicates) or plan.near_duplicates > 1:
        raise _bad("near_duplicates", "is a similarity from 0 to 1")
    for task in plan.tasks:
        _check_task(task)
    if plan.judge is not None:
        if bool(plan.judge.model) == bool(plan.judge.rule):
            raise _bad("judge", "names a model or a rule, one of the two")
        if plan.judge.rule:
            rule_of(plan.judge.rule)
    check_gate(plan.gate)


def completed(plan: EvaluationPlan, read: dict[str, TaskItems], kept: dict[str, tuple[Item, ...]]) -> EvaluationPlan:
    """The plan with what task files say of themselves, and with a gate."""
    tasks = tuple(_with_file(task, read[task.name]) for task in plan.tasks)
    whole = msgspec.structs.replace(plan, tasks=tasks)
    if plan.gate.rules:
        return whole
    tagged = {name: any(item.tags for item in items) for name, items in kept.items()}
    return msgspec.structs.replace(whole, gate=default_gate(whole, tagged))


def _with_file(task: Task, read: TaskItems) -> Task:
    if not read.measures:
        return task
    measures = tuple(dict.fromkeys((*task.measures, *read.measures)))
    return msgspec.structs.replace(task, measures=measures, max_tokens=read.max_tokens or task.max_tokens)


def _check_task(task: Task) -> None:
    if task.limit < 0 or task.max_tokens < 1:
        raise _bad("tasks", f"{task.name!r} needs a limit of 0 or more and at least one token")
    if not task.measures and not task.rules:
        raise _bad("tasks", f"{task.name!r} measures nothing; name measures or rules")
    names = [rule_of(declared)[0] for declared in task.rules]
    if len(set(names)) != len(names):
        raise _bad("tasks", f"{task.name!r} names a rule twice")


def _bad(field: str, what: str) -> ServiceError:
    return ServiceError("invalid_value", f"The plan's {field} {what}.", param=field)
