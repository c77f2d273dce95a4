"""A loop, and what other services say, for tests."""

from typing import Any

from libs.contracts.datasets import Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.rollouts import Loop, Turn
from libs.contracts.training import Method, Recipe
from services.rollout.loops import turning

NOW_MS = 1_790_000_000_000
BASE = f"helpdesk@sha256:{'a' * 64}"
CHAMPION = f"helpdesk@sha256:{'b' * 64}"
TURN_ID = "turn_" + "1" * 24


def a_loop(**more: Any) -> Loop:
    """A loop that can turn."""
    fields: dict[str, Any] = {
        "name": "nightly",
        "model": "helpdesk",
        "selection": Selection(name="lessons", shape=Shape.SFT, tenant="acme"),
        "evaluation": EvaluationPlan(tasks=(Task(name="shop", dataset="questions"),)),
        "recipe": Recipe(method=Method.SFT),
    }
    return Loop(**{**fields, **more})


def a_turn(loop: Loop | None = None, **more: Any) -> Turn:
    """Its first turn, that began now."""
    fields: dict[str, Any] = {
        "turn_id": TURN_ID,
        "number": 1,
        "now_ms": NOW_MS,
        "signals": 200,
        "base": BASE,
        "baseline": CHAMPION,
    }
    return turning.begun(loop or a_loop(), **{**fields, **more})
