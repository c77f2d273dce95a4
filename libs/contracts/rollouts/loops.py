"""The loop as policy: what is selected, taught, measured and rolled out, and when; and the record of each turn."""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.datasets import DeclaredSelection, Selection
from libs.contracts.evaluation import DeclaredEvaluationPlan, EvaluationPlan
from libs.contracts.rollouts.plans import DeclaredRolloutPlan, RolloutPlan
from libs.contracts.training import DeclaredRecipe, Recipe


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """When the next turn begins: enough was said, and the last turn is long enough ago."""

    signals: int = 200
    """Explicit judgements of the name's versions since the last turn began."""
    min_interval_s: float = 3_600.0
    """Between the beginnings of two turns."""


class Budget(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the loop may spend."""

    turns_per_day: int = 24
    """In any 24 hours."""
    turn_s: float = 86_400.0
    """A turn that has not ended by then is cancelled, with whatever of it still runs."""


class Loop(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declares how a served name improves by itself."""

    name: str
    model: str
    """The served name; its champion is what every turn begins with being compared to."""
    selection: Selection
    """Its `since_ms` and `until_ms` are the turn's; a declared `since_ms` is a lower bound for all turns."""
    evaluation: EvaluationPlan
    """The gate; only what passes it is rolled out."""
    base: str = ""
    """What is taught: any reference to a version of kind model; empty: the base of the served name."""
    recipe: Recipe = Recipe()
    rollout: RolloutPlan = RolloutPlan()
    trigger: Trigger = Trigger()
    budget: Budget = Budget()
    window_s: float = 0.0
    """How far back judgements are selected; 0: all of them."""
    paused: bool = False
    """Does nothing: begins no turn and takes no step of one that is under way."""
    licence: str = ""
    tenant: str = ""
    """Whose it is; empty: the platform's."""


class DeclaredTrigger(Trigger, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredBudget(Budget, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredLoop(Loop, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    selection: DeclaredSelection
    evaluation: DeclaredEvaluationPlan
    recipe: DeclaredRecipe = DeclaredRecipe()
    rollout: DeclaredRolloutPlan = DeclaredRolloutPlan()
    trigger: DeclaredTrigger = DeclaredTrigger()
    budget: DeclaredBudget = DeclaredBudget()


class TurnState(StrEnum):
    """How far a turn is; each state is one thing that was ordered elsewhere and is waited for."""

    SELECTING = "selecting"
    TRAINING = "training"
    """The job measures its version, too."""
    ROLLING_OUT = "rolling_out"
    PROMOTED = "promoted"
    HELD_BACK = "held_back"
    """The gate did not let it pass."""
    TAKEN_BACK = "taken_back"
    """The rollout aborted it or rolled it back."""
    FAILED = "failed"
    CANCELLED = "cancelled"


TURN_ENDED: Final = frozenset(
    {TurnState.PROMOTED, TurnState.HELD_BACK, TurnState.TAKEN_BACK, TurnState.FAILED, TurnState.CANCELLED}
)


class Turn(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One turn of a loop: which judgements led to which data set, job, report, rollout and result."""

    id: str
    """`turn_<24 hex>`; the ids of what it orders are derived from it, so that nothing is ordered twice."""
    loop: str
    number: int
    state: TurnState
    declared: Loop
    """As it was when the turn began."""
    began_ms: int
    changed_ms: int
    signals: int = 0
    """Judgements that set it off."""
    since_ms: int = 0
    until_ms: int = 0
    """Of the selection."""
    base: str = ""
    """What is taught, as a full reference fixed when the turn began; so is the next."""
    baseline: str = ""
    """The champion that the version made is compared to."""
    dataset_job: str = ""
    dataset: str = ""
    job: str = ""
    version: str = ""
    report: str = ""
    rollout: str = ""
    reason: str = ""
    """Why it is in this state, for people."""
    author: str = ""
    """Who set it off by hand; empty: the trigger."""


class LoopStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A loop, and what it is about to do."""

    loop: Loop
    author: str
    changed_ms: int
    turn: Turn | None = None
    """The newest."""
    signals: int = 0
    """Judgements since that one began."""
    waits_for: str = ""
    """What keeps the next turn from beginning, for people."""


class ApplyLoop(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declare a loop, or declare it anew."""

    loop: Loop
    author: str


class LoopName(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which loop."""

    name: str
    author: str = ""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class FindLoops(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for every loop."""

    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class LoopList(msgspec.Struct, frozen=True):
    """Every loop, by name."""

    loops: tuple[LoopStatus, ...]


class FindTurns(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    loop: str = ""
    version: str = ""
    """Only turns that made this version."""
    dataset: str = ""
    before: str = ""
    limit: int = 100
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class TurnPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    turns: tuple[Turn, ...]
    next: str = ""


class TurnRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which turn."""

    id: str
    author: str = ""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class TurnChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A turn came into a state; said once per change, from the outbox."""

    id: str
    time_ms: int
    turn: Turn
