"""Messages of the rollout service: plans and their evidence, running rollouts, splits, and the loops that order them.

Calls go to `subjects.rollout_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
"""

from typing import Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.rollouts.loops import (
    TURN_ENDED,
    ApplyLoop,
    Budget,
    DeclaredLoop,
    FindLoops,
    FindTurns,
    Loop,
    LoopList,
    LoopName,
    LoopStatus,
    Trigger,
    Turn,
    TurnChanged,
    TurnPage,
    TurnRef,
    TurnState,
)
from libs.contracts.rollouts.plans import (
    DEFAULT_MARGINS,
    DEFAULT_STEPS,
    Decision,
    DeclaredRolloutPlan,
    Found,
    Guard,
    Margin,
    RolloutPlan,
    Step,
)
from libs.contracts.rollouts.splits import SPLITS_EVERY_S, SPLITS_TTL_S, RequestObserved, Split, Splits
from libs.contracts.rollouts.states import (
    ROLLOUT_ENDED,
    ROLLOUT_TRANSITIONS,
    FindRollouts,
    OrderRollout,
    Rollout,
    RolloutChange,
    RolloutChanged,
    RolloutPage,
    RolloutRef,
    RolloutState,
    RolloutStatus,
    SteerRollout,
)

__all__ = [
    "DEFAULT_MARGINS",
    "DEFAULT_STEPS",
    "OPERATIONS",
    "ROLLOUT_ENDED",
    "ROLLOUT_TRANSITIONS",
    "SPLITS_EVERY_S",
    "SPLITS_TTL_S",
    "TURN_ENDED",
    "ApplyLoop",
    "Budget",
    "Decision",
    "DeclaredLoop",
    "DeclaredRolloutPlan",
    "FindLoops",
    "FindRollouts",
    "FindTurns",
    "Found",
    "Guard",
    "Loop",
    "LoopList",
    "LoopName",
    "LoopStatus",
    "Margin",
    "OrderRollout",
    "RequestObserved",
    "Rollout",
    "RolloutChange",
    "RolloutChanged",
    "RolloutPage",
    "RolloutPlan",
    "RolloutRef",
    "RolloutState",
    "RolloutStatus",
    "Split",
    "Splits",
    "SteerRollout",
    "Step",
    "Trigger",
    "Turn",
    "TurnChanged",
    "TurnPage",
    "TurnRef",
    "TurnState",
]

OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "rollout_order": (OrderRollout, Rollout),
    "rollout_list": (FindRollouts, RolloutPage),
    "rollout_show": (RolloutRef, RolloutStatus),
    "rollout_pause": (SteerRollout, Rollout),
    "rollout_resume": (SteerRollout, Rollout),
    "rollout_promote": (SteerRollout, Rollout),
    "rollout_abort": (SteerRollout, Rollout),
    "rollout_roll_back": (SteerRollout, Rollout),
    "loop_apply": (ApplyLoop, LoopStatus),
    "loop_list": (FindLoops, LoopList),
    "loop_show": (LoopName, LoopStatus),
    "loop_pause": (LoopName, LoopStatus),
    "loop_resume": (LoopName, LoopStatus),
    "loop_remove": (LoopName, Empty),
    "loop_turn": (LoopName, Turn),
    "turn_list": (FindTurns, TurnPage),
    "turn_show": (TurnRef, Turn),
    "turn_cancel": (TurnRef, Turn),
}
"""`loop_turn` begins a turn by hand, whatever the trigger says."""
