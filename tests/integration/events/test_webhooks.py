"""Webhooks: every event once on record, signed, tried again, given up, replayed; and nobody sees another's."""

import asyncio
import signal
import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from deploy.docker.prepare import make_certificate
from deploy.local.home import Home
from libs.contracts.public_events import CloudEvent
from libs.contracts.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    Delivery,
    DeliveryPage,
    DeliveryState,
    FindDeliveries,
    FindWebhooks,
    IssuedWebhook,
    Replay,
    RotateSecret,
    Webhook,
    WebhookPage,
    WebhookRef,
)
from libs.kit.errors import ServiceError
from libs.kit.events_client import BusEvents
from libs.testkit.events import PATIENCE_S, EventsGround, say
from libs.testkit.service_process import ServiceProcess
from libs.testkit.wait import eventually, until
from services.events.webhooks.sending import Attempt, Sender
from services.events.webhooks.signing import new_secret, sign
from tests.integration.events.receiver import CUT, HANG, Got, Receiver

CERTIFIED = "nats"
"""What the certificate says; it says 127.0.0.1, too, which must not be enough."""
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made(desk: BusEvents, url: str, *, tenant: str = "acme", types: tuple[str, ...] = ()) -> IssuedWebhook:
    """A webhook of a tenant."""
    issued: IssuedWebhook = await desk.call(
        "webhook_create", CreateWebhook(url=url, author="ann", tenant=tenant, types=types)
    )
    return issued


async def settled(desk: BusEvents, webhook: str, count: int) -> list[Delivery]:
    """Its deliveries, as soon as there are so many and all are over."""

    async def over() -> list[Delivery] | None:
        page: DeliveryPage = await desk.call("delivery_list", FindDeliveries(webhook=webhook, limit=1_000))
        done = [each for each in page.deliveries if each.state is not DeliveryState.PENDING]
        return done if len(done) == len(page.deliveries) == count else None

    return await eventually(over, timeout_s=PATIENCE_S, what=f"{count} deliveries that are over")


async def test_events_are_delivered_signed_and_to_their_tenant_only(ground: EventsGround) -> None:
    receiver, foreign, everybody = Receiver(), Receiver(), Receiver()
    async with (
        ground.service(),
        ground.desk() as desk,
        receiver.listening(),
        foreign.listening(),
        everybody.listening(),
    ):
        await say(ground.nats, [ground.completed(1)])
        issued = await made(desk, receiver.url)
        other = await made(desk, foreign.url, tenant="beta")
        platform = await made(desk, everybody.url, tenant="")
        quiet = await made(desk, receiver.url, types=("*.job.*",))
        await say(ground.nats, [*(ground.completed(n) for n in range(2, 5)), ground.completed(1, "beta")])
        assert {each.state for each in await settled(desk, issued.webhook.id, 3)} == {DeliveryState.DELIVERED}
        await settled(desk, other.webhook.id, 1)
        await settled(desk, platform.webhook.id, 4)
        assert not await settled(desk, quiet.webhook.id, 0)
    assert sorted(got.event_id for got in receiver.got) == [ground.completed(n).id for n in range(2, 5)]
    assert [got.event_id for got in foreign.got] == [ground.completed(1, "beta").id]
    for got in receiver.got:
        event = msgspec.json.decode(got.body, type=CloudEvent)
        assert (event.id, event.tenant) == (got.event_id, "acme")
        assert (got.path, got.headers["host"]) == ("/hook?a=b", f"127.0.0.1:{receiver.port}")
        assert got.headers["content-type"] == "application/cloudevents+json"
        stamp = int(got.headers["webhook-timestamp"])
        expected = sign(issued.secret, event_id=got.event_id, timestamp_s=stamp, body=got.body)
        assert got.headers["webhook-signature"] == expected


async def test_who_fails_is_tried_again_then_given_up_and_can_be_replayed(ground: EventsGround) -> None:
    answers: dict[str, list[int]] = {
        ground.completed(1).id: [500, 204],
        ground.completed(2).id: [CUT, 429, 200],
        ground.completed(3).id: [HANG, 204],
        ground.completed(4).id: [302, 307, 301],
        ground.completed(5).id: [500, 404, 400],
        ground.completed(6).id: [],
    }
    receiver = Receiver(lambda got: (answers[got.event_id] or [204]).pop(0))
    async with ground.service(hook_timeout_s=0.5), ground.desk() as desk, receiver.listening():
        issued = await made(desk, receiver.url)
        await say(ground.nats, [ground.completed(n) for n in range(1, 7)])
        found = {each.event_id: each for each in await settled(desk, issued.webhook.id, 6)}
        assert {each.event_id for each in found.values() if each.state is DeliveryState.DEAD} == {
            ground.completed(4).id,
            ground.completed(5).id,
        }
        assert found[ground.completed(4).id].status == 301
        assert "redirect" in found[ground.completed(4).id].error
        tries = Counter(got.event_id for got in receiver.got)
        assert tries == {
            ground.completed(n).id: count for n, count in zip(range(1, 7), (2, 3, 2, 3, 3, 1), strict=True)
        }
        assert {got.path for got in receiver.got} == {"/hook?a=b"}

        receiver.got.clear()
        again = await desk.call("delivery_replay", Replay(webhook=issued.webhook.id, author="ann"))
        assert again.deliveries == 2
        for each in await settled(desk, issued.webhook.id, 6):
            assert each.state is DeliveryState.DELIVERED
        one = found[ground.completed(6).id]
        await desk.call("delivery_replay", Replay(webhook=issued.webhook.id, author="ann", delivery=one.id))
        await until(lambda: len(receiver.got) == 3, timeout_s=PATIENCE_S, what="three more")
        assert {got.event_id for got in receiver.got} == {ground.completed(n).id for n in (4, 5, 6)}


async def test_one_that_hangs_keeps_nobody_else_waiting_and_one_that_is_gone_is_disabled(ground: EventsGround) -> None:
    slow, gone, good = Receiver(lambda _: HANG), Receiver(lambda _: 410), Receiver()
    async with (
        ground.service(hook_timeout_s=PATIENCE_S),
        ground.desk() as desk,
        slow.listening(),
        gone.listening(),
        good.listening(),
    ):
        await made(desk, slow.url)
        leaving = (await made(desk, gone.url)).webhook
        fine = (await made(desk, good.url)).webhook
        await say(ground.nats, [ground.completed(n) for n in range(40)])
        await settled(desk, fine.id, 40)
        assert len(slow.got) == 4

        async def disabled() -> Webhook | None:
            found: Webhook = await desk.call("webhook_show", WebhookRef(id=leaving.id))
            return found if found.is_disabled else None

        assert "410" in (await eventually(disabled, timeout_s=PATIENCE_S)).disabled_reason
        gone.answer = lambda _: 204
        await desk.call("webhook_change", ChangeWebhook(id=leaving.id, author="ann", disabled=False))
        delivered = await settled(desk, leaving.id, 40)
        assert {each.state for each in delivered} <= {DeliveryState.DELIVERED, DeliveryState.DEAD}
        assert Counter(each.state for each in delivered)[DeliveryState.DELIVERED] >= 36


async def test_a_private_address_gets_nothing_unless_it_is_allowed(ground: EventsGround) -> None:
    canary = Receiver()
    async with canary.listening(), ground.desk() as desk:
        async with ground.service(allow_private_addresses=False):
            for url in (canary.url, canary.url.replace("http:", "https:"), "https://[::1]/", "https://10.0.0.1/"):
                with pytest.raises(ServiceError) as refused:
                    await made(desk, url)
                assert (refused.value.code, refused.value.param) == ("invalid_value", "url")
            # A name is looked up when something is sent.
            named = (await made(desk, f"https://localhost:{canary.port}/")).webhook
            await say(ground.nats, [ground.completed(1)])
            (dead,) = await settled(desk, named.id, 1)
        assert dead.state is DeliveryState.DEAD
        assert "not public" in dead.error
        assert "127" not in dead.error
        assert not canary.got


async def test_a_tenant_sees_and_touches_its_own_only(ground: EventsGround) -> None:
    async with ground.service(hooks_per_tenant=2), ground.desk() as desk:
        mine = (await made(desk, "http://127.0.0.1:9/")).webhook
        for operation, request in (
            ("webhook_show", WebhookRef(id=mine.id, tenant="beta")),
            ("webhook_delete", WebhookRef(id=mine.id, tenant="beta")),
            ("webhook_change", ChangeWebhook(id=mine.id, author="bob", tenant="beta", url="http://127.0.0.1:8/")),
            ("webhook_rotate", RotateSecret(id=mine.id, author="bob", tenant="beta")),
            ("delivery_list", FindDeliveries(webhook=mine.id, tenant="beta")),
            ("delivery_replay", Replay(webhook=mine.id, author="bob", tenant="beta")),
        ):
            with pytest.raises(ServiceError) as refused:
                await desk.call(operation, request)
            assert refused.value.code == "not_found", operation
        page: WebhookPage = await desk.call("webhook_list", FindWebhooks(tenant="beta"))
        assert not page.webhooks
        second = (await made(desk, "http://127.0.0.1:9/")).webhook
        with pytest.raises(ServiceError) as full:
            await made(desk, "http://127.0.0.1:9/")
        assert full.value.code == "conflict"
        first_page: WebhookPage = await desk.call("webhook_list", FindWebhooks(tenant="acme", limit=1))
        rest: WebhookPage = await desk.call("webhook_list", FindWebhooks(tenant="acme", before=first_page.next))
        assert [each.id for each in (*first_page.webhooks, *rest.webhooks)] == [second.id, mine.id]
        changed: Webhook = await desk.call(
            "webhook_change", ChangeWebhook(id=mine.id, author="ann", types=("*.job.*",), expected_revision=1)
        )
        assert (changed.types, changed.revision) == (("*.job.*",), 2)
        with pytest.raises(ServiceError) as late:
            await desk.call("webhook_change", ChangeWebhook(id=mine.id, author="ann", url="x:", expected_revision=1))
        assert late.value.code == "invalid_value"
        with pytest.raises(ServiceError) as late:
            await desk.call("webhook_change", ChangeWebhook(id=mine.id, author="ann", types=(), expected_revision=1))
        assert late.value.code == "conflict"
        for bad in ({"types": ("dev.nothing",)}, {"description": "x" * 300}, {"id": mine.id}):
            asked = msgspec.structs.replace(CreateWebhook(url="http://127.0.0.1:9/", author="a", tenant="new"), **bad)
            with pytest.raises(ServiceError):
                await desk.call("webhook_create", asked)


async def test_while_a_secret_is_changed_both_sign(ground: EventsGround) -> None:
    receiver = Receiver()
    async with ground.service(), ground.desk() as desk, receiver.listening():
        issued = await made(desk, receiver.url)
        rotated: IssuedWebhook = await desk.call("webhook_rotate", RotateSecret(id=issued.webhook.id, author="ann"))
        await say(ground.nats, [ground.completed(1)])
        await settled(desk, issued.webhook.id, 1)
        last: IssuedWebhook = await desk.call(
            "webhook_rotate", RotateSecret(id=issued.webhook.id, author="ann", overlap_s=0)
        )
        await say(ground.nats, [ground.completed(2)])
        await settled(desk, issued.webhook.id, 2)
    both, alone = receiver.got
    assert both.headers["webhook-signature"].split(" ") == [_signed(both, rotated.secret), _signed(both, issued.secret)]
    assert alone.headers["webhook-signature"] == _signed(alone, last.secret)


async def test_killed_in_the_middle_it_delivers_everything(ground: EventsGround) -> None:
    count = 200
    receiver = Receiver()
    process = ground.process(hook_timeout_s=1.0)
    async with receiver.listening(), ground.desk() as desk:
        await process.start()
        hook = (await made(desk, receiver.url)).webhook
        await asyncio.gather(
            say(ground.nats, (ground.completed(n) for n in range(count))), _kill(process, receiver, 20)
        )
        await process.start()
        delivered = await settled(desk, hook.id, count)
        await process.end()
    assert {each.state for each in delivered} == {DeliveryState.DELIVERED}
    assert {got.event_id for got in receiver.got} == {ground.completed(n).id for n in range(count)}
    assert len({each.event_id for each in delivered}) == count


async def _kill(process: ServiceProcess, receiver: Receiver, after: int) -> None:
    await until(lambda: len(receiver.got) >= after, timeout_s=PATIENCE_S, what=f"{after} deliveries")
    await process.end(signal.SIGKILL)


def _signed(got: Got, secret: str) -> str:
    stamp = int(got.headers["webhook-timestamp"])
    return sign(secret, event_id=got.event_id, timestamp_s=stamp, body=got.body)


async def test_tls_is_spoken_to_the_name_at_the_address_that_was_checked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    trust = ssl.create_default_context(cadata=make_certificate(home))
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.load_cert_chain(home.secrets / "bus.pem", home.secrets / "bus.key")
    receiver = Receiver(tls=certificate)

    async def resolve(_: str, __: int) -> list[str]:
        return ["127.0.0.1"]

    sender = Sender(timeout_s=20, allow_private=True, resolve=resolve, trust=trust)
    untrusting = Sender(timeout_s=20, allow_private=True, resolve=resolve)
    async with receiver.listening():
        attempt = Attempt(
            url=f"https://{CERTIFIED}:{receiver.port}/x", secrets=(new_secret(),), event_id="e1", body=b"{}"
        )
        good = await sender.send(attempt)
        assert (good.delivered, good.status) == (True, 204)
        assert receiver.got[0].headers["host"] == f"{CERTIFIED}:{receiver.port}"
        impostor = replace(attempt, url=f"https://other.example:{receiver.port}/x")
        for who, what in ((sender, impostor), (untrusting, attempt)):
            outcome = await who.send(what)
            assert not outcome.delivered
            assert "127.0.0.1" not in outcome.error
    assert len(receiver.got) == 1
    await sender.close()
    await untrusting.close()
