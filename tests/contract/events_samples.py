"""One of each message of public events and webhooks."""

from typing import Final

import msgspec

from libs.contracts import public_events as p
from libs.contracts import webhooks as w

HOOK: Final = "hook_0123456789abcdef01234567"
WEBHOOK: Final = w.Webhook(
    id=HOOK,
    url="https://example.com/hook",
    created_ms=1,
    author="ann",
    tenant="t1",
    types=("dev.llmos.job.*",),
    description="to the pager",
    is_disabled=True,
    disabled_reason="gone",
    rotated_until_ms=2,
    revision=3,
)
DELIVERY: Final = w.Delivery(
    id="7",
    webhook=HOOK,
    event_id="e1",
    type="dev.llmos.job.changed.v1",
    state=w.DeliveryState.DEAD,
    created_ms=1,
    changed_ms=2,
    attempts=3,
    next_ms=4,
    status=500,
    error="it answered with status 500",
)

EVENTS_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "CloudEvent": p.CloudEvent(
        id="e1",
        source="llmos",
        type="dev.llmos.job.changed.v1",
        time="2026-11-22T03:04:05.678Z",
        tenant="t1",
        subject="job_1",
        data=msgspec.Raw(b"7"),
    ),
    "PublicNews": p.PublicNews(("t1", "_platform")),
    "Webhook": WEBHOOK,
    "IssuedWebhook": w.IssuedWebhook(webhook=WEBHOOK, secret="whsec_AAAA"),
    "CreateWebhook": w.CreateWebhook(
        url="https://example.com/hook", author="ann", tenant="t1", types=("*",), description="d", id=HOOK
    ),
    "ChangeWebhook": w.ChangeWebhook(
        id=HOOK,
        author="ann",
        tenant="t1",
        url="https://example.com/other",
        types=(),
        description="",
        disabled=False,
        expected_revision=3,
    ),
    "WebhookRef": w.WebhookRef(id=HOOK, tenant="t1", author="ann"),
    "RotateSecret": w.RotateSecret(id=HOOK, author="ann", tenant="t1", overlap_s=60),
    "FindWebhooks": w.FindWebhooks(tenant="t1", before="9", limit=3),
    "WebhookPage": w.WebhookPage((WEBHOOK,), "9"),
    "Delivery": DELIVERY,
    "FindDeliveries": w.FindDeliveries(webhook=HOOK, tenant="t1", state=w.DeliveryState.PENDING, before="9", limit=3),
    "DeliveryPage": w.DeliveryPage((DELIVERY,), "9"),
    "Replay": w.Replay(webhook=HOOK, author="ann", tenant="t1", delivery="7"),
    "Replayed": w.Replayed(2),
}
