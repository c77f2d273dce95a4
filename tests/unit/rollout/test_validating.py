"""Plans that cannot be carried out are refused, and the field at fault is named."""

from typing import Any

import msgspec
import pytest

from libs.contracts.rollouts import DeclaredRolloutPlan, Guard, Margin, RolloutPlan, Step
from libs.kit.errors import ServiceError
from services.rollout.domain.validating import check_plan

PLAN = RolloutPlan(name="helpdesk", candidate="helpdesk@2")
SHADOW = Step(share=0.1, shadow=True)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ""}, "name"),
    "no possible name": ({"name": "Help Desk"}, "name"),
    "no candidate": ({"candidate": ""}, "candidate"),
    "no possible alias": ({"alias": "7"}, "alias"),
    "an alias of our own": ({"alias": "challenger"}, "alias"),
    "another alias of our own": ({"alias": "last-good"}, "alias"),
    "no steps": ({"steps": ()}, "steps"),
    "nothing is shown": ({"steps": (SHADOW,)}, "steps"),
    "shares that fall": ({"steps": (Step(share=0.5), Step(share=0.25))}, "steps"),
    "shares that stay": ({"steps": (Step(share=0.5), Step(share=0.5))}, "steps"),
    "shadow at the end": ({"steps": (Step(share=0.1), SHADOW)}, "steps"),
    "shadow in between": ({"steps": (Step(share=0.1), SHADOW, Step(share=0.5))}, "steps"),
    "no share": ({"steps": (Step(share=0.0), Step(share=0.5))}, "steps[0].share"),
    "everything": ({"steps": (Step(share=1.0),)}, "steps[0].share"),
    "a shadow of everything": ({"steps": (Step(share=1.0, shadow=True), Step(share=0.5))}, "steps[0].share"),
    "no number": ({"steps": (Step(share=float("nan")),)}, "steps[0].share"),
    "shorter than its shortest": ({"steps": (Step(share=0.5, min_s=2, max_s=1),)}, "steps[0].max_s"),
    "less than no time": ({"steps": (Step(share=0.5, min_s=-1),)}, "steps[0].max_s"),
    "for ever": ({"steps": (Step(share=0.5, max_s=float("inf")),)}, "steps[0].max_s"),
    "less than no requests": ({"steps": (Step(share=0.5, min_requests=-1),)}, "steps[0].min_requests"),
    "less than no thumbs": ({"steps": (Step(share=0.5, min_signals=-1),)}, "steps[0].min_signals"),
    "too many steps": ({"steps": tuple(Step(share=(n + 1) / 100) for n in range(21))}, "steps"),
    "two margins of one guard": ({"margins": 2 * (Margin(guard=Guard.ERROR, margin=0.1),)}, "margins"),
    "a margin that allows all": ({"margins": (Margin(guard=Guard.ERROR, margin=1.0),)}, "margins[0].margin"),
    "a margin below nothing": ({"margins": (Margin(guard=Guard.ERROR, margin=-0.1),)}, "margins[0].margin"),
    "never a false alarm": ({"false_alarm": 0.0}, "false_alarm"),
    "always a false alarm": ({"false_alarm": 1.0}, "false_alarm"),
    "never in error": ({"promotion_error": 0.0}, "promotion_error"),
    "no margin for promotion": ({"promotion_margin": 0.0}, "promotion_margin"),
    "all is held back": ({"holdback": 1.0}, "holdback"),
    "less than nothing is held back": ({"holdback": -0.1}, "holdback"),
    "prepared before it began": ({"prepare_s": -1.0}, "prepare_s"),
    "watched for no number of seconds": ({"watch_s": float("nan")}, "watch_s"),
    "less than no thumbs per tag": ({"min_tag_signals": -1}, "min_tag_signals"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_refused_by_the_name_of_its_field(name: str) -> None:
    change, field = BAD[name]
    with pytest.raises(ServiceError) as caught:
        check_plan(msgspec.structs.replace(PLAN, **change))
    assert caught.value.param == field
    assert caught.value.code == ("missing_field" if name in ("no name", "no candidate") else "invalid_value")


def test_a_plan_of_defaults_is_sound() -> None:
    check_plan(PLAN)
    check_plan(msgspec.structs.replace(PLAN, steps=(Step(share=0.01),), holdback=0.0, watch_s=0.0, margins=()))


@pytest.mark.parametrize("text", ['{"margins": [{"guard": "speed", "margin": 0.1}]}', '{"stepps": []}', '{"steps": 3}'])
def test_a_metric_or_field_that_nobody_knows_is_no_plan(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=DeclaredRolloutPlan)
