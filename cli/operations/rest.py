"""What operators ask, over REST: which request each operation is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at, query
from libs.contracts import effective, letters
from libs.contracts.effective import ChangeLogLevel, FindSettings
from libs.contracts.letters import FindAllLetters, LetterRef
from libs.contracts.scheduling import (
    OPERATIONS,
    CancelRequest,
    CordonWorker,
    DrainWorker,
    FindQueues,
    FindRequests,
    FindWorkers,
    PurgeQueue,
    UncordonWorker,
    WorkerRef,
)
from libs.kit.operators_client import TIMEOUT_S as SERVICES_TIMEOUT_S
from libs.kit.scheduler_client import TIMEOUT_S


class RestScheduler(RestCaller):
    """A gateway's admin API as the scheduler; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _SCHEDULER)


class RestLetters(RestCaller):
    """A gateway's admin API as it tells of dead letters; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _LETTERS)


class RestSettings(RestCaller):
    """A gateway's admin API as it tells of settings; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _SETTINGS)


def _workers(asked: FindWorkers) -> Wanted:
    return Wanted("GET", at("workers"), query=query(asked))


def _worker(asked: WorkerRef) -> Wanted:
    return Wanted("GET", at("workers", asked.id))


def _cordon(asked: CordonWorker) -> Wanted:
    headers = _condition(asked.expected_revision)
    return Wanted("PUT", at("workers", asked.id, "cordon"), {"reason": asked.reason}, headers=headers)


def _uncordon(asked: UncordonWorker) -> Wanted:
    return Wanted("DELETE", at("workers", asked.id, "cordon"), headers=_condition(asked.expected_revision))


def _drain(asked: DrainWorker) -> Wanted:
    return Wanted("POST", at("workers", asked.id, "drain"), {"reason": asked.reason, "wait_s": asked.wait_s})


def _queues(_: FindQueues) -> Wanted:
    return Wanted("GET", at("queues"))


def _requests(asked: FindRequests) -> Wanted:
    fields = query(asked)
    return Wanted("GET", at("queues", fields.pop("pool"), "requests"), query=fields)


def _cancel(asked: CancelRequest) -> Wanted:
    return Wanted("DELETE", at("requests", asked.id))


def _purge(asked: PurgeQueue) -> Wanted:
    which = {} if asked.service_class is None else {"service_class": str(asked.service_class)}
    return Wanted("DELETE", at("queues", asked.pool, "requests"), query=which)


def _letters(asked: FindAllLetters) -> Wanted:
    return Wanted("GET", at("dead-letters"), query=query(asked))


def _letter(method: str, *more: str) -> Callable[[LetterRef], Wanted]:
    return lambda asked: Wanted(method, at("dead-letters", asked.id, *more))


def _settings(asked: FindSettings) -> Wanted:
    return Wanted("GET", at("settings"), query=query(asked))


def _log_level(asked: ChangeLogLevel) -> Wanted:
    body = {"level": asked.level, "instance": asked.instance}
    return Wanted("PUT", at("settings", asked.service, "log-level"), body)


def _condition(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "worker_list": _workers,
    "worker_show": _worker,
    "worker_cordon": _cordon,
    "worker_uncordon": _uncordon,
    "worker_drain": _drain,
    "queue_list": _queues,
    "request_list": _requests,
    "request_cancel": _cancel,
    "queue_purge": _purge,
}
_SCHEDULER: Final = Offer(name="scheduler", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
_LETTERS: Final = Offer(
    name="letters",
    operations=letters.DESK_OPERATIONS,
    routes={
        "letter_list": _letters,
        "letter_show": _letter("GET"),
        "letter_read": _letter("GET", "payload"),
        "letter_replay": _letter("POST", "replay"),
        "letter_drop": _letter("DELETE"),
    },
    timeout_s=lambda _: SERVICES_TIMEOUT_S,
)
_SETTINGS: Final = Offer(
    name="settings",
    operations=effective.DESK_OPERATIONS,
    routes={"settings_show": _settings, "log_level_set": _log_level},
    timeout_s=lambda _: SERVICES_TIMEOUT_S,
)
