"""The events service over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at
from libs.contracts.webhooks import (
    OPERATIONS,
    ChangeWebhook,
    CreateWebhook,
    FindDeliveries,
    FindWebhooks,
    Replay,
    RotateSecret,
    WebhookRef,
)
from libs.kit.events_client import TIMEOUT_S


class RestEvents(RestCaller):
    """A gateway's admin API as the events service; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _EVENTS)


def _create(asked: CreateWebhook) -> Wanted:
    body = {"url": asked.url, "types": asked.types, "description": asked.description, "tenant": asked.tenant}
    return Wanted("POST", at("webhooks"), body)


def _change(asked: ChangeWebhook) -> Wanted:
    given = {"url": asked.url, "types": asked.types, "description": asked.description, "disabled": asked.disabled}
    body = {name: value for name, value in given.items() if value is not None}
    headers = {} if asked.expected_revision is None else {"if-match": f'"{asked.expected_revision}"'}
    return Wanted("PATCH", at("webhooks", asked.id), body, headers=headers)


def _one(method: str) -> Callable[[WebhookRef], Wanted]:
    return lambda asked: Wanted(method, at("webhooks", asked.id))


def _list(asked: FindWebhooks) -> Wanted:
    return Wanted("GET", at("webhooks"), query=_said(tenant=asked.tenant, before=asked.before, limit=str(asked.limit)))


def _rotate(asked: RotateSecret) -> Wanted:
    return Wanted("POST", at("webhooks", asked.id, "rotate"), {"overlap_s": asked.overlap_s})


def _deliveries(asked: FindDeliveries) -> Wanted:
    state = asked.state.value if asked.state is not None else ""
    query = _said(state=state, before=asked.before, limit=str(asked.limit))
    return Wanted("GET", at("webhooks", asked.webhook, "deliveries"), query=query)


def _replay(asked: Replay) -> Wanted:
    which = ("deliveries", asked.delivery) if asked.delivery else ()
    return Wanted("POST", at("webhooks", asked.webhook, *which, "replay"))


def _said(**given: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "webhook_create": _create,
    "webhook_change": _change,
    "webhook_show": _one("GET"),
    "webhook_list": _list,
    "webhook_delete": _one("DELETE"),
    "webhook_rotate": _rotate,
    "delivery_list": _deliveries,
    "delivery_replay": _replay,
}
_EVENTS: Final = Offer(name="events", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
