"""What an improved help desk must be, wherever it is judged: in a running platform or from recorded answers."""

from typing import Final

from libs.contracts.evaluation import Gate, Judge, Rule

TASK: Final = "desk"
RULES: Final = ("helpdesk.right", "helpdesk.polite", "helpdesk.well_formed", "helpdesk.new_price")
JUDGE: Final = Judge(rule="helpdesk.good")
SAMPLES: Final = 3
"""At temperatures above 0; one leaves a third of the adapters that lose nothing without proof of it."""
GATE: Final = Gate(
    rules=(
        Rule(metric=f"{TASK}/win_rate", kind="better"),
        Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.01, slack=0.04),
        Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.05, slack=0.20, groups="each"),
        Rule(metric=f"{TASK}/helpdesk.well_formed", kind="not_worse", margin=0.01, slack=0.02),
        Rule(metric=f"{TASK}/helpdesk.polite", kind="at_least", margin=0.9, slack=0.03),
        Rule(metric=f"{TASK}/helpdesk.new_price", kind="at_least", margin=0.75, slack=0.35),
    )
)
"""Better liked, nothing lost, and what customers asked for is there: kind, with today's prices."""
