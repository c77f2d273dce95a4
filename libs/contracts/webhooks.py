"""Messages of webhooks: public events sent to an address, signed, again and again until they are taken or given up.

Calls go to `subjects.events_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
An empty `tenant` in a question means the operators of the platform, who see every webhook.
"""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.calls import Empty

MAX_URL: Final = 2_048
MAX_TYPES: Final = 32
MAX_DESCRIPTION: Final = 256


class DeliveryState(StrEnum):
    """How far one event is on its way to one webhook."""

    PENDING = "pending"
    """It will be sent, or sent again."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; it can be replayed."""


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An address that wants events."""

    id: str
    """`hook_<24 hex>`."""
    url: str
    created_ms: int
    author: str
    tenant: str = ""
    """Whose events it gets; empty: those of the platform and of every tenant."""
    types: tuple[str, ...] = ()
    """Patterns as `GET /v1/events?type=` takes them; empty: all."""
    description: str = ""
    is_disabled: bool = False
    """Nothing is sent; what comes meanwhile waits."""
    disabled_reason: str = ""
    rotated_until_ms: int = 0
    """Until then signatures are made with the former secret, too."""
    revision: int = 1


class IssuedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with its secret, which is shown this once."""

    webhook: Webhook
    secret: str
    """`whsec_<base64>`: the key of HMAC-SHA256."""

    def __repr__(self) -> str:
        """Whoever prints it by mistake prints no secret."""
        return f"IssuedWebhook(webhook={self.webhook!r})"


class CreateWebhook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Have events sent to an address from now on; a repeat with the same `id` is refused with `conflict`."""

    url: str
    author: str
    tenant: str = ""
    types: tuple[str, ...] = ()
    description: str = ""
    id: str = ""
    """Empty: a fresh one."""


class ChangeWebhook(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Change what is given; None leaves it as it is."""

    id: str
    author: str
    tenant: str = ""
    url: str | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None
    disabled: bool | None = None
    expected_revision: int | None = None


class WebhookRef(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One webhook; `tenant` keeps those of others out of sight."""

    id: str
    tenant: str = ""
    author: str = ""


class RotateSecret(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Make a new secret; for `overlap_s` both sign, so that a receiver may change over in between."""

    id: str
    author: str
    tenant: str = ""
    overlap_s: int = 86_400


class FindWebhooks(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    tenant: str = ""
    before: str = ""
    limit: int = 100


class WebhookPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    webhooks: tuple[Webhook, ...]
    next: str = ""


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One event on its way to one webhook."""

    id: str
    """As `before` of a list takes it."""
    webhook: str
    event_id: str
    """Sent as `webhook-id`; the same in every attempt."""
    type: str
    state: DeliveryState
    created_ms: int
    changed_ms: int
    attempts: int = 0
    next_ms: int = 0
    """When it is sent the next time; 0 if it is not."""
    status: int = 0
    """HTTP status of the last attempt; 0 if there was no answer."""
    error: str = ""
    """Why the last attempt failed, for people."""


class FindDeliveries(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    webhook: str
    tenant: str = ""
    state: DeliveryState | None = None
    before: str = ""
    limit: int = 100


class DeliveryPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    deliveries: tuple[Delivery, ...]
    next: str = ""


class Replay(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Send again: one delivery, whatever its state, or all that were given up."""

    webhook: str
    author: str
    tenant: str = ""
    delivery: str = ""
    """Empty: every dead one."""


class Replayed(msgspec.Struct, frozen=True):
    """How many will be sent again."""

    deliveries: int


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "webhook_create": (CreateWebhook, IssuedWebhook),
    "webhook_change": (ChangeWebhook, Webhook),
    "webhook_show": (WebhookRef, Webhook),
    "webhook_list": (FindWebhooks, WebhookPage),
    "webhook_delete": (WebhookRef, Empty),
    "webhook_rotate": (RotateSecret, IssuedWebhook),
    "delivery_list": (FindDeliveries, DeliveryPage),
    "delivery_replay": (Replay, Replayed),
}
