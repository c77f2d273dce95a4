"""Which loops are taken, and when a turn begins."""

from typing import Any

import pytest

from libs.contracts.datasets import Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Rule, Task
from libs.contracts.rollouts import Budget, RolloutPlan, Trigger, TurnState
from libs.contracts.training import Method, Recipe
from libs.kit.errors import ServiceError
from services.rollout.loops.trigger import DAY_MS, Standing, keeps, waits_for
from services.rollout.loops.validating import check_loop, rollout_s
from tests.unit.rollout.looping import NOW_MS, a_loop, a_turn

TASK = Task(name="shop", dataset="questions")
FILE = Task(name="shop", file="questions.jsonl")


def _selection(**more: Any) -> Selection:
    return Selection(**{"name": "lessons", "shape": Shape.SFT, "tenant": "acme", **more})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"base": "helpdesk@sha256:0123456789ab", "window_s": 60.0, "selection": _selection(since_ms=5)},
        {"recipe": Recipe(method=Method.AUTO), "selection": _selection(shape=Shape.KTO)},
        {"rollout": RolloutPlan(name="helpdesk")},
        {"evaluation": EvaluationPlan(tasks=(FILE,))},
        {"tenant": "acme"},
    ],
)
def test_a_loop_that_can_turn_is_taken(changes: dict[str, Any]) -> None:
    check_loop(a_loop(**changes))


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"name": "Night"}, "invalid_value", "name"),
        ({"model": "helpdesk@champion"}, "invalid_value", "model"),
        ({"base": "helpdesk@"}, "invalid_value", "base"),
        ({"selection": _selection(tenant="")}, "missing_field", "selection.tenant"),
        ({"selection": _selection(until_ms=9)}, "invalid_value", "selection.until_ms"),
        ({"selection": _selection(splits={"all": 1.0})}, "invalid_value", "selection.splits"),
        ({"selection": _selection(splits={"train": 0.5})}, "invalid_value", "selection.splits"),
        ({"selection": _selection(shape=Shape.KTO)}, "bad_dataset", "selection.shape"),
        ({"recipe": Recipe(method=Method.PRETRAIN)}, "bad_dataset", "selection.shape"),
        ({"recipe": Recipe(rank=0)}, "invalid_value", "recipe.rank"),
        ({"evaluation": EvaluationPlan(tasks=())}, "invalid_value", "evaluation.tasks"),
        ({"tenant": "acme", "evaluation": EvaluationPlan(tasks=(FILE,))}, "invalid_value", "evaluation.tasks"),
        ({"tenant": "acme", "selection": _selection(tenant="other")}, "invalid_value", "selection.tenant"),
        ({"evaluation": EvaluationPlan(tasks=(TASK,), candidate="x")}, "invalid_value", "evaluation.candidate"),
        ({"evaluation": EvaluationPlan(tasks=(TASK,), baseline="x")}, "invalid_value", "evaluation.baseline"),
        ({"rollout": RolloutPlan(name="other")}, "invalid_value", "rollout.name"),
        ({"rollout": RolloutPlan(candidate="x")}, "invalid_value", "rollout.candidate"),
        ({"trigger": Trigger(signals=0)}, "invalid_value", "trigger.signals"),
        ({"trigger": Trigger(min_interval_s=float("nan"))}, "invalid_value", "trigger.min_interval_s"),
        ({"budget": Budget(turns_per_day=0)}, "invalid_value", "budget.turns_per_day"),
        ({"budget": Budget(turn_s=float("inf"))}, "invalid_value", "budget.turn_s"),
        ({"budget": Budget(turn_s=rollout_s(a_loop()))}, "invalid_value", "budget.turn_s"),
        ({"window_s": -1.0}, "invalid_value", "window_s"),
    ],
)
def test_a_loop_that_cannot_turn_is_refused_by_field(changes: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_loop(a_loop(**changes))
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_rule_of_a_gate_must_speak_of_a_task() -> None:
    plan = EvaluationPlan(tasks=(TASK,))
    gate = type(plan.gate)(rules=(Rule(metric="elsewhere/exact_match", kind="better"),))
    with pytest.raises(ServiceError) as caught:
        check_loop(a_loop(evaluation=EvaluationPlan(tasks=(TASK,), gate=gate)))
    assert caught.value.param == "evaluation.gate.rules"


def _ended(state: TurnState = TurnState.PROMOTED, ago_ms: int = DAY_MS) -> Any:
    turn = a_turn(now_ms=NOW_MS - ago_ms)
    return type(turn)(**{name: getattr(turn, name) for name in turn.__struct_fields__} | {"state": state})


@pytest.mark.parametrize(
    ("changes", "standing", "why"),
    [
        ({}, Standing(signals=200), ""),
        ({}, Standing(signals=199), "199 of 200 judgements"),
        ({}, Standing(), "judgements have not been counted yet"),
        ({"paused": True}, Standing(signals=999), "it is paused"),
        ({}, Standing(last=a_turn(), signals=999), "turn 1 is selecting"),
        ({}, Standing(last=_ended(), signals=200), ""),
        ({}, Standing(last=_ended(TurnState.FAILED), signals=200), ""),
        ({}, Standing(last=_ended(ago_ms=3_599_001), signals=999), "turn 1 began a short while ago; the next in 1 s"),
        ({}, Standing(last=_ended(ago_ms=3_600_000), signals=200), ""),
        (
            {"budget": Budget(turns_per_day=2)},
            Standing(signals=999, begun_ms=(NOW_MS - 10, NOW_MS - DAY_MS + 1_000, NOW_MS - DAY_MS + 2_000)),
            "3 turns began in 24 hours, as many as may; the next in 2 s",
        ),
        ({"budget": Budget(turns_per_day=2)}, Standing(signals=200, begun_ms=(NOW_MS - 10, NOW_MS - DAY_MS)), ""),
    ],
)
def test_a_turn_begins_when_enough_was_said_and_nothing_forbids_it(
    changes: dict[str, Any], standing: Standing, why: str
) -> None:
    assert waits_for(a_loop(**changes), standing, NOW_MS) == why


def test_what_the_trigger_wants_does_not_forbid_a_turn_by_hand() -> None:
    assert keeps(a_loop(), Standing(last=_ended(ago_ms=1), signals=0), NOW_MS) == ""
