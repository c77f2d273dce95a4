"""The rollout service over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at, query
from libs.contracts.calls import Empty
from libs.contracts.rollouts import (
    OPERATIONS,
    ApplyLoop,
    FindRollouts,
    FindTurns,
    LoopName,
    OrderRollout,
    RolloutRef,
    SteerRollout,
    TurnRef,
)
from libs.kit.rollout_client import TIMEOUT_S


class RestRollouts(RestCaller):
    """A gateway's admin API as the rollout service; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _ROLLOUTS)


def _order(asked: OrderRollout) -> Wanted:
    return Wanted("POST", at("rollouts"), {"plan": asked.plan, "id": asked.id})


def _rollouts(asked: FindRollouts) -> Wanted:
    return Wanted("GET", at("rollouts"), query=query(asked))


def _rollout(asked: RolloutRef) -> Wanted:
    return Wanted("GET", at("rollouts", asked.id))


def _steer(verb: str) -> Callable[[SteerRollout], Wanted]:
    return lambda asked: Wanted("POST", at("rollouts", asked.id, verb), {"reason": asked.reason})


def _apply(asked: ApplyLoop) -> Wanted:
    return Wanted("PUT", at("loops", asked.loop.name), asked.loop)


def _loops(_: Empty) -> Wanted:
    return Wanted("GET", at("loops"))


def _loop(method: str, *verb: str) -> Callable[[LoopName], Wanted]:
    return lambda asked: Wanted(method, at("loops", asked.name, *verb))


def _turns(asked: FindTurns) -> Wanted:
    return Wanted("GET", at("turns"), query=query(asked))


def _turn(method: str, *verb: str) -> Callable[[TurnRef], Wanted]:
    return lambda asked: Wanted(method, at("turns", asked.id, *verb))


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "rollout_order": _order,
    "rollout_list": _rollouts,
    "rollout_show": _rollout,
    **{
        f"rollout_{verb.replace('-', '_')}": _steer(verb)
        for verb in ("pause", "resume", "promote", "abort", "roll-back")
    },
    "loop_apply": _apply,
    "loop_list": _loops,
    "loop_show": _loop("GET"),
    "loop_remove": _loop("DELETE"),
    **{f"loop_{verb}": _loop("POST", verb) for verb in ("pause", "resume", "turn")},
    "turn_list": _turns,
    "turn_show": _turn("GET"),
    "turn_cancel": _turn("POST", "cancel"),
}
_ROLLOUTS: Final = Offer(name="rollout", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
