"""What can be asked about webhooks; whoever belongs to a tenant sees those of its tenant and no others."""

import asyncio
from typing import Any, Final

from sqlalchemy import Row

from libs.contracts.calls import Empty
from libs.contracts.webhooks import (
    MAX_DESCRIPTION,
    ChangeWebhook,
    CreateWebhook,
    DeliveryPage,
    FindDeliveries,
    FindWebhooks,
    IssuedWebhook,
    Replay,
    Replayed,
    RotateSecret,
    Webhook,
    WebhookPage,
    WebhookRef,
)
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.event_types import check_patterns
from libs.kit.postgres import Database
from libs.kit.serving import Operation
from services.events.settings import Settings
from services.events.webhooks import due, rows, signing
from services.events.webhooks.addresses import AddressError, check_url

_MOST: Final = 1_000
_MAX_OVERLAP_S: Final = 30 * 86_400
_ID: Final = "hook_"


class WebhookDesk:
    """Carries the operations out."""

    def __init__(self, database: Database, settings: Settings, wake: asyncio.Event) -> None:
        """Prepare; `wake` is set when there is something to deliver."""
        self._database = database
        self._settings = settings
        self._wake = wake

    def operations(self) -> dict[str, Operation]:
        """Each by its name in the contract."""
        return {
            "webhook_create": self.create,
            "webhook_change": self.change,
            "webhook_show": self.show,
            "webhook_list": self.list,
            "webhook_delete": self.delete,
            "webhook_rotate": self.rotate,
            "delivery_list": self.deliveries,
            "delivery_replay": self.replay,
        }

    async def create(self, asked: CreateWebhook) -> IssuedWebhook:
        """Have events sent to an address from now on.

        Raises:
            ServiceError: `invalid_value`, or `conflict`: it is there already, or the tenant has too many.
        """
        self._check(asked.url, asked.description)
        secret = signing.new_secret()
        values = {
            "id": asked.id or f"{_ID}{clock.new_request_id()}",
            "tenant": asked.tenant,
            "url": asked.url,
            "types": list(check_patterns(asked.types, param="types")),
            "description": asked.description,
            "author": asked.author,
            "created_ms": clock.unix_ms(),
            "is_disabled": False,
            "disabled_reason": "",
            "secret": secret,
            "former_secret": "",
            "rotated_until_ms": 0,
            "revision": 1,
        }
        async with self._database.begin() as connection:
            if await rows.count(connection, asked.tenant) >= self._settings.hooks_per_tenant:
                most = self._settings.hooks_per_tenant
                raise ServiceError("conflict", f"There are {most} webhooks already; remove one that is not needed.")
            row = await rows.add(connection, values)
        if row is None:
            raise ServiceError("conflict", "There is a webhook with this id; its secret was shown when it was made.")
        return IssuedWebhook(webhook=rows.webhook_of(row), secret=secret)

    async def change(self, asked: ChangeWebhook) -> Webhook:
        """Change what is given.

        Raises:
            ServiceError: `invalid_value`, `not_found`, or `conflict` where somebody else was faster.
        """
        values: dict[str, Any] = {}
        if asked.url is not None or asked.description is not None:
            self._check(asked.url, asked.description or "")
        if asked.url is not None:
            values["url"] = asked.url
        if asked.description is not None:
            values["description"] = asked.description
        if asked.types is not None:
            values["types"] = list(check_patterns(asked.types, param="types"))
        if asked.disabled is not None:
            values |= {"is_disabled": asked.disabled, "disabled_reason": asked.author if asked.disabled else ""}
        async with self._database.begin() as connection:
            row = _found(await rows.find(connection, asked.id, asked.tenant, lock=True))
            if asked.expected_revision is not None and row.revision != asked.expected_revision:
                raise ServiceError("conflict", f"The webhook is at revision {row.revision} by now; look and try again.")
            return rows.webhook_of(await rows.change(connection, row.id, values) if values else row)

    async def show(self, asked: WebhookRef) -> Webhook:
        """One webhook.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._database.begin() as connection:
            return rows.webhook_of(_found(await rows.find(connection, asked.id, asked.tenant)))

    async def list(self, asked: FindWebhooks) -> WebhookPage:
        """Newest first."""
        before, limit = _place(asked.before, asked.limit)
        async with self._database.begin() as connection:
            found = await rows.page(connection, asked, before)
        more = str(found[limit - 1].sequence) if len(found) > limit else ""
        return WebhookPage(tuple(rows.webhook_of(row) for row in found[:limit]), more)

    async def delete(self, asked: WebhookRef) -> Empty:
        """Send nothing more there, and forget what was sent.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._database.begin() as connection:
            await rows.remove(connection, _found(await rows.find(connection, asked.id, asked.tenant, lock=True)).id)
        return Empty()

    async def rotate(self, asked: RotateSecret) -> IssuedWebhook:
        """Make a new secret; the former one signs beside it for a while.

        Raises:
            ServiceError: `invalid_value`, `not_found`.
        """
        if not 0 <= asked.overlap_s <= _MAX_OVERLAP_S:
            raise ServiceError("invalid_value", f"`overlap_s` is from 0 to {_MAX_OVERLAP_S}.", param="overlap_s")
        secret = signing.new_secret()
        async with self._database.begin() as connection:
            row = _found(await rows.find(connection, asked.id, asked.tenant, lock=True))
            until_ms = clock.unix_ms() + asked.overlap_s * 1_000 if asked.overlap_s else 0
            former = row.secret if asked.overlap_s else ""
            values = {"secret": secret, "former_secret": former, "rotated_until_ms": until_ms}
            changed = await rows.change(connection, row.id, values)
        return IssuedWebhook(webhook=rows.webhook_of(changed), secret=secret)

    async def deliveries(self, asked: FindDeliveries) -> DeliveryPage:
        """Newest first.

        Raises:
            ServiceError: `not_found`, there is no such webhook.
        """
        before, limit = _place(asked.before, asked.limit)
        async with self._database.begin() as connection:
            _found(await rows.find(connection, asked.webhook, asked.tenant))
            found = await due.page(connection, asked, before)
        more = str(found[limit - 1].sequence) if len(found) > limit else ""
        return DeliveryPage(tuple(due.delivery_of(row) for row in found[:limit]), more)

    async def replay(self, asked: Replay) -> Replayed:
        """Send one delivery again, or every dead one.

        Raises:
            ServiceError: `not_found`, there is no such webhook or delivery.
        """
        sequence = _number(asked.delivery, "delivery") if asked.delivery else None
        async with self._database.begin() as connection:
            row = _found(await rows.find(connection, asked.webhook, asked.tenant))
            count = await due.replay(connection, row.id, sequence, clock.unix_ms())
        if sequence is not None and not count:
            raise ServiceError("not_found", "This webhook has no such delivery.", param="delivery")
        self._wake.set()
        return Replayed(count)

    def _check(self, url: str | None, description: str) -> None:
        if url is not None:
            try:
                check_url(url, allow_private=self._settings.allow_private_addresses)
            except AddressError as error:
                raise ServiceError("invalid_value", f"The URL is refused: {error}.", param="url") from error
        if len(description) > MAX_DESCRIPTION:
            text = f"`description` has at most {MAX_DESCRIPTION} characters."
            raise ServiceError("invalid_value", text, param="description")


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise ServiceError("not_found", "There is no such webhook.", param="id")
    return row


def _place(before: str, limit: int) -> tuple[int | None, int]:
    if not 1 <= limit <= _MOST:
        raise ServiceError("invalid_value", f"`limit` is from 1 to {_MOST}.", param="limit")
    return (_number(before, "before") if before else None), limit


def _number(text: str, param: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ServiceError("invalid_value", f"`{param}` is not one that a list gave.", param=param)
    return int(text)
