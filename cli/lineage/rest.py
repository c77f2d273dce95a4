"""Lineage over REST."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at
from libs.contracts.lineage import OPERATIONS, AnswerRef, SignalRef

_TIMEOUT_S: Final = 120.0
"""The gateway asks four services, one after another."""


class RestLineage(RestCaller):
    """A gateway's admin API, asked about lineage; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _LINEAGE)


def _why(asked: AnswerRef) -> Wanted:
    return Wanted("GET", at("lineage", "answers", asked.id))


def _impact(asked: SignalRef) -> Wanted:
    return Wanted("GET", at("lineage", "signals", asked.id))


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {"answer_why": _why, "signal_impact": _impact}
_LINEAGE: Final = Offer(name="bus", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: _TIMEOUT_S)
