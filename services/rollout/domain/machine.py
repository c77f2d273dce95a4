"""The states of a rollout: what a person's word leads to, and how traffic is divided meanwhile."""

from typing import Final

from libs.contracts.registry import DEFAULT_ALIAS
from libs.contracts.rollouts import ROLLOUT_ENDED, RolloutPlan, RolloutState, Split
from libs.kit.errors import ServiceError

ASIDE: Final = frozenset({RolloutState.PREPARING, RolloutState.RUNNING, RolloutState.PAUSED})
"""The alias has not been touched."""
_TAKEN_BACK: Final = dict.fromkeys(ASIDE, RolloutState.ABORTED) | dict.fromkeys(
    (RolloutState.PROMOTING, RolloutState.WATCHING), RolloutState.ROLLING_BACK
)
_WISHES: Final[dict[str, dict[RolloutState, RolloutState]]] = {
    "pause": {RolloutState.RUNNING: RolloutState.PAUSED},
    "resume": {RolloutState.PAUSED: RolloutState.RUNNING},
    "promote": {
        RolloutState.RUNNING: RolloutState.PROMOTING,
        RolloutState.PAUSED: RolloutState.PROMOTING,
        RolloutState.WATCHING: RolloutState.PROMOTED,
    },
    "abort": _TAKEN_BACK,
    "roll_back": {**_TAKEN_BACK, RolloutState.PROMOTED: RolloutState.ROLLING_BACK},
}
_DONE: Final = {
    "pause": frozenset({RolloutState.PAUSED}),
    "resume": frozenset({RolloutState.RUNNING}),
    "promote": frozenset({RolloutState.PROMOTING, RolloutState.PROMOTED}),
    "abort": frozenset({RolloutState.ROLLING_BACK, RolloutState.ABORTED, RolloutState.ROLLED_BACK}),
    "roll_back": frozenset({RolloutState.ROLLING_BACK, RolloutState.ABORTED, RolloutState.ROLLED_BACK}),
}


def wish(rollout: str, state: RolloutState, verb: str) -> RolloutState | None:
    """The state that a person's word leads to; None where it is so already.

    Raises:
        ServiceError: `conflict`, it cannot be done in this state.
    """
    if state in _DONE[verb]:
        return None
    to = _WISHES[verb].get(state)
    if to is None:
        how = verb.replace("_", " ")
        raise ServiceError("conflict", f"The rollout {rollout} is {state.value}: {how} is not possible.", param="id")
    return to


def names_of(plan: RolloutPlan) -> tuple[str, ...]:
    """What clients ask for whose requests are divided."""
    aliased = f"{plan.name}@{plan.alias}"
    return (plan.name, aliased) if plan.alias == DEFAULT_ALIAS else (aliased,)


def split_of(
    rollout: str, state: RolloutState, step: int, plan: RolloutPlan, *, candidate: str, baseline: str
) -> Split | None:
    """How a rollout divides requests by now; None if it does not."""
    if state is RolloutState.PREPARING or state in ROLLOUT_ENDED:
        return None
    last = len(plan.steps)
    share, is_shadow = 1 - plan.holdback, False
    if state is RolloutState.ROLLING_BACK:
        # Nobody is given the candidate while its alias is on its way back.
        share, step = 0.0, last
    elif step < last:
        share, is_shadow = plan.steps[step].share, plan.steps[step].shadow
    return Split(
        rollout=rollout,
        names=names_of(plan),
        step=step,
        share=share,
        candidate=candidate,
        baseline=baseline,
        shadow=is_shadow,
    )
