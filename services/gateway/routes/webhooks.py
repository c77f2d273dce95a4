"""Endpoints for webhooks: addresses that events are sent to, and how far each event is on its way."""

import hashlib
from typing import Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeliveryState,
    FindDeliveries,
    FindWebhooks,
    Replay,
    RotateSecret,
    WebhookRef,
)
from services.gateway.routes.endpoints import Asked, Endpoint, revision_of

_ID_DIGITS: Final = 24


class NewWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that wants events."""

    url: str
    types: tuple[str, ...] = ()
    """Patterns in which `*` stands for anything; none: all."""
    description: str = ""
    tenant: str = ""
    """Whose events; only keys of the platform may choose, and empty means every tenant's and the platform's there."""


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be so; what is left out stays."""

    url: str | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None
    disabled: bool | None = None


class SecretRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long both secrets sign."""

    overlap_s: int = 86_400


class WebhookFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which webhooks."""

    tenant: str = ""
    before: str = ""
    limit: int = 100


class DeliveryFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries."""

    state: DeliveryState | None = None
    before: str = ""
    limit: int = 100


def _create(asked: Asked) -> CreateWebhook:
    body: NewWebhook = asked.body
    tenant = asked.only(body.tenant)
    return CreateWebhook(
        url=body.url,
        author=asked.author,
        tenant=tenant,
        types=body.types,
        description=body.description,
        id=_id(asked, tenant),
    )


def _id(asked: Asked, tenant: str) -> str:
    """The same for a repeat by the same author for the same project; empty without an `Idempotency-Key`."""
    if not asked.idempotency_key:
        return ""
    parts = f"{asked.author}\0{tenant}\0{asked.idempotency_key}"
    return f"hook_{hashlib.sha256(parts.encode()).hexdigest()[:_ID_DIGITS]}"


def _change(asked: Asked) -> ChangeWebhook:
    body: WebhookChange = asked.body
    return ChangeWebhook(
        id=asked.path["id"],
        author=asked.author,
        tenant=asked.tenant,
        url=body.url,
        types=body.types,
        description=body.description,
        disabled=body.disabled,
        expected_revision=revision_of(asked),
    )


def _ref(asked: Asked) -> WebhookRef:
    return WebhookRef(id=asked.path["id"], tenant=asked.tenant, author=asked.author)


def _replay(asked: Asked) -> Replay:
    return Replay(
        webhook=asked.path["id"],
        author=asked.author,
        tenant=asked.tenant,
        delivery=asked.path.get("delivery", ""),
    )


ENDPOINTS: Final = (
    Endpoint(
        service="events",
        method="POST",
        path="/webhooks",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_create",
        summary="Have events sent to an address from now on; the answer shows the secret, and nothing does again.",
        body=NewWebhook,
        call=_create,
        status=201,
        tag=lambda issued: str(issued.webhook.revision),
        idempotent=True,
    ),
    Endpoint(
        service="events",
        method="GET",
        path="/webhooks",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_list",
        summary="Webhooks, newest first; `next` of one page is `before` of the following one.",
        query=WebhookFilter,
        call=lambda asked: FindWebhooks(
            tenant=asked.only(asked.query.tenant), before=asked.query.before, limit=asked.query.limit
        ),
    ),
    Endpoint(
        service="events",
        method="GET",
        path="/webhooks/{id}",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_show",
        summary="One webhook.",
        call=_ref,
        tag=lambda webhook: str(webhook.revision),
    ),
    Endpoint(
        service="events",
        method="PATCH",
        path="/webhooks/{id}",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_change",
        summary="Change its address or types, disable or enable it; `If-Match` names the revision that it must have.",
        body=WebhookChange,
        call=_change,
        tag=lambda webhook: str(webhook.revision),
        conditional=True,
    ),
    Endpoint(
        service="events",
        method="DELETE",
        path="/webhooks/{id}",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_delete",
        summary="Send nothing more there, and forget what was sent.",
        call=_ref,
        status=204,
    ),
    Endpoint(
        service="events",
        method="POST",
        path="/webhooks/{id}/rotate",
        permission=Permission.WEBHOOKS_WRITE,
        operation="webhook_rotate",
        summary="Make a new secret, shown once; the old one signs beside it for a while.",
        body=SecretRotation,
        call=lambda asked: RotateSecret(
            id=asked.path["id"], author=asked.author, tenant=asked.tenant, overlap_s=asked.body.overlap_s
        ),
        status=201,
        tag=lambda issued: str(issued.webhook.revision),
    ),
    Endpoint(
        service="events",
        method="GET",
        path="/webhooks/{id}/deliveries",
        permission=Permission.WEBHOOKS_WRITE,
        operation="delivery_list",
        summary="What was sent or is to be, newest first; `next` of one page is `before` of the following one.",
        query=DeliveryFilter,
        call=lambda asked: FindDeliveries(
            webhook=asked.path["id"],
            tenant=asked.tenant,
            state=asked.query.state,
            before=asked.query.before,
            limit=asked.query.limit,
        ),
    ),
    Endpoint(
        service="events",
        method="POST",
        path="/webhooks/{id}/replay",
        permission=Permission.WEBHOOKS_WRITE,
        operation="delivery_replay",
        summary="Send everything again that was given up.",
        call=_replay,
    ),
    Endpoint(
        service="events",
        method="POST",
        path="/webhooks/{id}/deliveries/{delivery}/replay",
        permission=Permission.WEBHOOKS_WRITE,
        operation="delivery_replay",
        summary="Send one event again, whatever became of it.",
        call=_replay,
        select=lambda _, replayed: replayed,
    ),
)
