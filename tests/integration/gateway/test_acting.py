"""A part of the platform asks models for the tenant that it names; nobody else can."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from libs.contracts.inference import ServedModel
from libs.contracts.requests import ROUTES
from libs.testkit.front import CHAT, KEY, Front, stored_events
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.wait import eventually, until

OWNER = "shop"
ACTING = "sk-acting-test"
ASKED = CHAT | {"model": "shop-adapter"}


@pytest.fixture
def overrides(admin_keys: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    keys = tmp_path / "acting"
    keys.write_text(f"trainer:{ACTING}\n", encoding="utf-8")
    return {**admin_keys, "acting_keys_file": keys}


async def _ask(front: Front, key: str, **headers: str) -> httpx2.Response:
    return await front.post(body=ASKED, authorization=f"Bearer {key}", **headers)


async def test_another_projects_adapter_is_measured_and_the_tenant_is_named(
    front: Front, double: Double, nats: NatsServer
) -> None:
    owned = ServedModel(name="shop-adapter", adapter=True, routes=tuple(ROUTES), owner=OWNER)
    double.beat("w2", models=(owned,))
    await until(lambda: len(front.gateway.fleet.targets) == 2, what="the adapter")
    double.on_work = lambda work: work.answer(b"{}")

    answer = await _ask(front, ACTING, x_llmos_tenant=OWNER, x_request_id="measured-for-shop")

    assert answer.status_code == 200, answer.text
    refused = [
        await _ask(front, ACTING),
        await _ask(front, ACTING, x_llmos_tenant="acme"),
        await _ask(front, KEY, x_llmos_tenant=OWNER),
        await _ask(front, ACTING, x_llmos_tenant="Shop; drop"),
    ]
    codes = [(one.status_code, one.json()["error"]["code"]) for one in refused]
    assert codes == [(404, "model_not_found")] * 3 + [(400, "invalid_value")]

    async def told() -> tuple[str, str] | None:
        events = [one for one in await stored_events(nats) if one.client_request_id == "measured-for-shop"]
        return (events[0].tenant, events[0].key_id) if events else None

    assert await eventually(told) == (OWNER, "trainer")


async def test_an_acting_key_opens_nothing_of_the_admin_api(front: Front) -> None:
    headers = {"authorization": f"Bearer {ACTING}", "x-llmos-tenant": OWNER}
    for path in ("/versions", "/interactions", "/keys", "/jobs"):
        answer = await front.http.get(f"/admin/v1{path}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
