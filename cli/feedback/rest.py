"""Feedback over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at, query
from libs.contracts.datasets import BuildDataset, JobId, ListJobs
from libs.contracts.feedback import (
    OPERATIONS,
    Erase,
    ListDeadLetters,
    ListInteractions,
    ShowInteraction,
    StatisticsQuery,
)
from libs.kit.feedback_client import TIMEOUT_S


class RestFeedback(RestCaller):
    """A gateway's admin API as feedback; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _FEEDBACK)


def _interactions(asked: ListInteractions) -> Wanted:
    return Wanted("GET", at("interactions"), query=query(asked))


def _interaction(asked: ShowInteraction) -> Wanted:
    return Wanted("GET", at("interactions", asked.id))


def _statistics(asked: StatisticsQuery) -> Wanted:
    return Wanted("GET", at("feedback", "statistics"), query=query(asked))


def _letters(asked: ListDeadLetters) -> Wanted:
    return Wanted("GET", at("feedback", "dead-letters"), query=query(asked))


def _erase(asked: Erase) -> Wanted:
    body = {"tenant": asked.tenant, "request_id": asked.request_id, "user": asked.user}
    return Wanted("POST", at("erasures"), body)


def _build(asked: BuildDataset) -> Wanted:
    return Wanted("POST", at("datasets"), {"selection": asked.selection, "dry_run": asked.dry_run})


def _jobs(asked: ListJobs) -> Wanted:
    return Wanted("GET", at("datasets"), query=query(asked))


def _job(asked: JobId) -> Wanted:
    return Wanted("GET", at("datasets", asked.id))


def _cancel(asked: JobId) -> Wanted:
    return Wanted("POST", at("datasets", asked.id, "cancel"))


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "interaction_list": _interactions,
    "interaction_show": _interaction,
    "statistics": _statistics,
    "dead_letter_list": _letters,
    "erase": _erase,
    "dataset_build": _build,
    "dataset_list": _jobs,
    "dataset_show": _job,
    "dataset_cancel": _cancel,
}
"""Judgements themselves go another way: with an ordinary key, to `POST /v1/feedback`."""
_FEEDBACK: Final = Offer(name="feedback", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
