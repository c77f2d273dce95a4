"""The trainer over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at
from libs.contracts.training import OPERATIONS, FindJobs, JobRef, OrderEvaluation, OrderTraining, ReadLog
from libs.kit.trainer_client import TIMEOUT_S


class RestTrainer(RestCaller):
    """A gateway's admin API as the trainer; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _TRAINER)


def _order(place: str) -> Callable[[OrderTraining | OrderEvaluation], Wanted]:
    return lambda asked: Wanted("POST", at(place), {"plan": asked.plan, "id": asked.id})


def _list(asked: FindJobs) -> Wanted:
    fields = {"state": asked.state or "", "kind": asked.kind or "", "before": asked.before, "limit": str(asked.limit)}
    return Wanted("GET", at("jobs"), query={name: str(value) for name, value in fields.items() if value})


def _show(asked: JobRef) -> Wanted:
    return Wanted("GET", at("jobs", asked.id))


def _log(asked: ReadLog) -> Wanted:
    return Wanted("GET", at("jobs", asked.id, "log"), query={"after": str(asked.after), "limit": str(asked.limit)})


def _steer(verb: str) -> Callable[[JobRef], Wanted]:
    return lambda asked: Wanted("POST", at("jobs", asked.id, verb))


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "training_order": _order("trainings"),
    "evaluation_order": _order("evaluations"),
    "job_list": _list,
    "job_show": _show,
    "job_log": _log,
    **{f"job_{verb}": _steer(verb) for verb in ("pause", "resume", "cancel")},
}
_TRAINER: Final = Offer(name="trainer", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
