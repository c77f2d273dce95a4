"""Processes show themselves on a real bus as NATS's own clients expect it; nobody can do so for another."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats as nats_py
import pytest
import pytest_asyncio
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from deploy.nats.permissions import APPLICATION_USERS
from libs.contracts import subjects
from libs.contracts.discovery import SERVICES, InstanceState, Verb
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.discovery import Discovery
from libs.kit.health import Health
from libs.kit.roll_call import RollCall
from libs.kit.tally import Tally
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import eventually

NONSENSE = (b"", b"\0", b"{", b"[" * 10_000, b'{"name":"feedback"}', b"\xff" * 500_000)


def _tally() -> Tally:
    tally = Tally()
    tally.answered(0.25)
    tally.failed("internal_error", "broken")
    tally.answered(0.75)
    return tally


def _discovery(instance: str, health: Health | None = None) -> Discovery:
    found = Discovery("feedback", instance, health or Health())
    found.offer(subjects.feedback_call, {"erase": _tally()}, queue_group="feedback")
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def connect(nats: NatsServer) -> AsyncIterator[Callable[..., Any]]:
    """A connection as one of the bus's users."""
    made: list[BusClient] = []

    async def one(user: str) -> BusClient:
        inbox = {"gateway": "rpl.gateway", "provisioner": subjects.OPERATOR_INBOX}.get(user, "_INBOX")
        bus = BusClient(dataclasses.replace(nats.options(user), inbox_prefix=inbox))
        await bus.connect()
        made.append(bus)
        return bus

    yield one
    for bus in made:
        await bus.close()


@pytest_asyncio.fixture(loop_scope="session")
async def shown(connect: Any) -> str:
    """One process of the feedback service: its instance."""
    health = Health()
    health.see("nats", lambda: True)
    health.see("database", lambda: False)
    health.see("registry", lambda: False, needed=False)
    bus = await connect("feedback")
    _discovery("f1", health).listen(bus)
    await bus.flush()
    return "f1"


@pytest_asyncio.fixture(loop_scope="session")
async def operator(nats: NatsServer) -> AsyncIterator[Any]:
    """NATS's own client, as `nats --inbox-prefix rpl.operator` connects."""
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}",
        user="provisioner",
        password=nats.passwords["provisioner"],
        inbox_prefix=subjects.OPERATOR_INBOX,
    )
    yield client
    await client.close()


async def _ask(client: Any, verb: Verb, *address: str) -> dict[str, Any]:
    answer = await client.request(subjects.discovery(verb, *address), b"", timeout=30)
    found: dict[str, Any] = json.loads(answer.data)
    return found


@pytest.mark.parametrize("address", [(), ("feedback",), ("feedback", "f1")])
async def test_a_client_of_the_protocol_reads_every_answer(shown: str, operator: Any, address: tuple[str, ...]) -> None:
    said = await _ask(operator, Verb.PING, *address)
    ping = ServicePing.from_dict(said)
    assert said.keys() == ping.to_dict().keys()
    assert (ping.name, ping.id, ping.type) == ("feedback", shown, said["type"])
    assert ping.metadata["depends"] == "nats,database,registry"

    said = await _ask(operator, Verb.INFO, *address)
    info = ServiceInfo.from_dict(said)
    assert said == info.to_dict()
    assert [(one.name, one.subject, one.queue_group) for one in info.endpoints] == [
        ("erase", "ctl.feedback.api.erase", "feedback")
    ]

    said = await _ask(operator, Verb.STATS, *address)
    stats = ServiceStats.from_dict(said)
    assert said == stats.to_dict()
    assert (stats.metadata["lacks"], stats.metadata["degraded"]) == ("database", "registry")
    (erase,) = stats.endpoints
    assert (erase.num_requests, erase.num_errors, erase.last_error) == (2, 1, "internal_error: broken")
    assert (erase.processing_time, erase.average_processing_time) == (1_000_000_000, 500_000_000)
    assert all(isinstance(value, str) for value in stats.metadata.values()), "the protocol has only texts there"


async def test_nonsense_is_answered_as_anything_else_and_harms_nothing(shown: str, operator: Any) -> None:
    for payload in NONSENSE:
        answer = await operator.request(subjects.discovery(Verb.STATS, "feedback"), payload, timeout=30)
        assert json.loads(answer.data)["id"] == shown
        await operator.publish(subjects.discovery(Verb.STATS, "feedback", shown), payload)
    for verb in ("", "NONSENSE", "ping", "*"):
        await operator.publish(f"$SRV.{verb or 'x'}.feedback", b"", reply=operator.new_inbox())
    await operator.flush()
    assert (await _ask(operator, Verb.PING))["id"] == shown


async def _instances(asking: BusClient, inbox: str = "rpl.gateway") -> tuple[InstanceState, ...]:
    found = await RollCall(asking, inbox, limit_s=30).call()
    assert [each.name for each in found.services] == list(SERVICES)
    assert all(not each.instances for each in found.services if each.name != "feedback")
    return next(each.instances for each in found.services if each.name == "feedback")


@pytest.mark.parametrize(("user", "inbox"), [("gateway", "rpl.gateway"), ("provisioner", subjects.OPERATOR_INBOX)])
async def test_who_may_ask_hears_of_everybody_who_is_there_and_what_they_lack(
    connect: Any, user: str, inbox: str
) -> None:
    asking = await connect(user)
    assert await _instances(asking, inbox) == ()
    health = Health()
    health.see("database", lambda: False)
    first, second = await connect("feedback"), await connect("feedback")
    _discovery("f1").listen(first)
    _discovery("f2", health).listen(second)
    await asyncio.gather(first.flush(), second.flush())

    async def both() -> tuple[InstanceState, ...] | None:
        found = await _instances(asking, inbox)
        return found if len(found) == 2 else None

    one, two = await eventually(both, timeout_s=60)
    assert (one.id, one.ready, one.lacks) == ("f1", True, ())
    assert (two.id, two.ready, two.lacks, two.depends) == ("f2", False, ("database",), ("database",))
    assert one.started_ms > 0
    assert one.endpoints[0].errors == {"internal_error": 1}
    assert one.endpoints[0].busy_ms == 1_000

    await second.close()
    assert [each.id for each in await _instances(asking, inbox)] == ["f1"]
    await first.close()
    assert await _instances(asking, inbox) == ()


async def test_a_process_that_does_not_get_to_what_it_lacks_is_there_all_the_same(connect: Any) -> None:
    health = Health(patience_s=3_600)
    health.ask("database", asyncio.Event().wait)
    asking, silent = await connect("gateway"), await connect("feedback")
    _discovery("f1", health).listen(silent)
    await silent.flush()

    async def heard() -> tuple[InstanceState, ...] | None:
        found = await RollCall(asking, "rpl.gateway", limit_s=1).call()
        return next(each.instances for each in found.services if each.name == "feedback") or None

    (found,) = await eventually(heard, timeout_s=60)
    assert (found.id, found.ready, found.started_ms, found.depends) == ("f1", False, 0, ("database",))


async def test_an_answer_in_another_name_or_without_sense_counts_for_nobody(connect: Any) -> None:
    asking, hostile = await connect("gateway"), await connect("feedback")
    true = {"type": "io.nats.micro.v1.ping_response", "name": "feedback", "id": "f1", "version": "1.0.0"}
    forged, odd = true | {"name": "registry", "id": "r1"}, true | {"id": "a.b >"}

    def answer(message: Any) -> None:
        for payload in (*NONSENSE, *(json.dumps(said).encode() for said in (forged, odd, true))):
            hostile.publish(message.reply, payload)

    hostile.subscribe(subjects.discovery(Verb.PING, "feedback"), answer)
    await hostile.flush()
    found = await RollCall(asking, "rpl.gateway", limit_s=2).call()
    assert [(each.name, one.id) for each in found.services for one in each.instances] == [("feedback", "f1")]


async def test_one_process_is_found_at_once_and_none_is_missed_at_once(connect: Any) -> None:
    asking, there = await connect("gateway"), await connect("feedback")
    _discovery("f1").listen(there)
    await there.flush()
    call = RollCall(asking, "rpl.gateway", limit_s=3_600)
    async with asyncio.timeout(60):
        await call.find("feedback")
        with pytest.raises(BusError):
            await call.find("registry")
    await asking.close()
    async with asyncio.timeout(60):
        with pytest.raises(BusError):
            await call.find("feedback")


def _ignore(_: Message) -> None:
    pass


async def _is_refused(bus: BusClient) -> bool:
    await bus.flush()
    refused, bus.last_error = "Permissions Violation" in bus.last_error, ""
    return refused


@pytest.mark.parametrize("user", [user.name for user in APPLICATION_USERS])
async def test_only_those_may_ask_and_each_answers_for_itself(connect: Any, user: str) -> None:
    bus = await connect(user)
    for verb in Verb:
        bus.publish(subjects.discovery(verb), reply="rpl.gateway.x")
        assert await _is_refused(bus) == (user not in ("gateway", "provisioner")), verb
        bus.subscribe(subjects.discovery(verb), _ignore)
        assert await _is_refused(bus) == (user not in SERVICES), verb
        for service in SERVICES:
            for subject in (subjects.discovery(verb, service), subjects.discovery(verb, service, "x1")):
                bus.subscribe(subject, _ignore)
                assert await _is_refused(bus) == (user != service), subject
    bus.subscribe(subjects.ALL_DISCOVERY, _ignore)
    assert await _is_refused(bus)
