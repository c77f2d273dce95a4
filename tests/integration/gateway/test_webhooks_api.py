"""The admin API of webhooks, and the command line's way through it: each endpoint is one call on the bus."""

from typing import Any

import msgspec
import pytest

from cli.events.rest import RestEvents
from cli.rest import RestCaller
from libs.contracts.calls import Empty
from libs.contracts.webhooks import (
    OPERATIONS,
    ChangeWebhook,
    CreateWebhook,
    DeliveryPage,
    DeliveryState,
    FindDeliveries,
    FindWebhooks,
    IssuedWebhook,
    Replay,
    Replayed,
    RotateSecret,
    WebhookPage,
    WebhookRef,
)
from libs.testkit.front import Front
from services.gateway.routes.api import ENDPOINTS
from tests.contract.events_samples import DELIVERY, HOOK, WEBHOOK
from tests.integration.gateway.admin_scene import ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE = "events"
CLIENT = RestEvents
URL = "https://example.com/h"
GOOD: dict[str, msgspec.Struct] = {
    "webhook_create": IssuedWebhook(webhook=WEBHOOK, secret="whsec_x"),
    "webhook_change": WEBHOOK,
    "webhook_show": WEBHOOK,
    "webhook_list": WebhookPage((WEBHOOK,), "9"),
    "webhook_delete": Empty(),
    "webhook_rotate": IssuedWebhook(webhook=WEBHOOK, secret="whsec_y"),
    "delivery_list": DeliveryPage((DELIVERY,), "9"),
    "delivery_replay": Replayed(2),
}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


FORWARDED = [
    ("POST", "/webhooks", {"url": URL, "types": ["*"], "description": "d", "tenant": "t1"}, 201, "webhook_create",
     CreateWebhook(url=URL, author="ops", tenant="t1", types=("*",), description="d")),
    ("GET", "/webhooks?tenant=t1&before=9&limit=5", None, 200, "webhook_list",
     FindWebhooks(tenant="t1", before="9", limit=5)),
    ("GET", f"/webhooks/{HOOK}", None, 200, "webhook_show", WebhookRef(id=HOOK, author="ops")),
    ("PATCH", f"/webhooks/{HOOK}", {"url": URL, "types": [], "disabled": True}, 200, "webhook_change",
     ChangeWebhook(id=HOOK, author="ops", url=URL, types=(), disabled=True)),
    ("DELETE", f"/webhooks/{HOOK}", None, 204, "webhook_delete", WebhookRef(id=HOOK, author="ops")),
    ("POST", f"/webhooks/{HOOK}/rotate", {"overlap_s": 5}, 201, "webhook_rotate",
     RotateSecret(id=HOOK, author="ops", overlap_s=5)),
    ("GET", f"/webhooks/{HOOK}/deliveries?state=dead&limit=5", None, 200, "delivery_list",
     FindDeliveries(webhook=HOOK, state=DeliveryState.DEAD, limit=5)),
    ("POST", f"/webhooks/{HOOK}/replay", None, 200, "delivery_replay", Replay(webhook=HOOK, author="ops")),
    ("POST", f"/webhooks/{HOOK}/deliveries/7/replay", None, 200, "delivery_replay",
     Replay(webhook=HOOK, author="ops", delivery="7")),
]  # fmt: skip


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, behind: ServiceDouble) -> None:
    await check_forwarded(front, behind, FORWARDED)


def test_every_operation_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "events"}
    assert offered == set(OPERATIONS) == {line[4] for line in FORWARDED}


MISTYPED = [
    ("POST", "/webhooks", {}, "missing_field", "url"),
    ("POST", "/webhooks", {"url": URL, "secret": "mine"}, "unknown_parameter", "secret"),
    ("POST", "/webhooks", {"url": 7}, "invalid_value", "url"),
    ("PATCH", f"/webhooks/{HOOK}", {"tenant": "t2"}, "unknown_parameter", "tenant"),
    ("GET", "/webhooks?url=x", None, "unknown_parameter", "url"),
    ("GET", f"/webhooks/{HOOK}/deliveries?state=lost", None, "invalid_value", "state"),
]


async def test_what_is_mistyped_goes_no_further(front: Front, behind: ServiceDouble) -> None:
    await check_refused(front, behind, MISTYPED)


async def test_a_repeat_has_the_same_id_and_a_condition_is_passed_on(front: Front, behind: ServiceDouble) -> None:
    for key in ("one", "one", "two"):
        await ask(front, "POST", "/webhooks", {"url": URL}, idempotency_key=key)
    first, again, other = (request.id for _, request in behind.asked)
    assert first == again != other
    assert first.startswith("hook_")
    await ask(front, "PATCH", f"/webhooks/{HOOK}", {"disabled": False}, if_match='"3"')
    assert behind.asked[-1][1].expected_revision == 3


async def test_without_the_service_it_says_so(front: Front) -> None:
    answer = await ask(front, "GET", "/webhooks")
    assert (answer.status_code, answer.json()["code"]) == (503, "events_unavailable")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("webhook_create", CreateWebhook(url=URL, author="ops", tenant="t1", types=("*",), description="d")),
        ("webhook_change", ChangeWebhook(id=HOOK, author="ops", url=URL, types=("*",), expected_revision=2)),
        ("webhook_show", WebhookRef(id=HOOK, author="ops")),
        ("webhook_list", FindWebhooks(tenant="t1", before="9", limit=5)),
        ("webhook_delete", WebhookRef(id=HOOK, author="ops")),
        ("webhook_rotate", RotateSecret(id=HOOK, author="ops", overlap_s=7)),
        ("delivery_list", FindDeliveries(webhook=HOOK, state=DeliveryState.PENDING, before="9", limit=5)),
        ("delivery_replay", Replay(webhook=HOOK, author="ops", delivery="7")),
        ("delivery_replay", Replay(webhook=HOOK, author="ops")),
    ],
)
async def test_the_command_line_says_the_same(
    client: RestCaller, behind: ServiceDouble, operation: str, request_: msgspec.Struct
) -> None:
    assert await client.call(operation, request_) == GOOD[operation]
    assert behind.asked == [(operation, request_)]
