"""What is done through the admin API is recorded before it is done, and again when it is answered."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from cli.audit.rest import RestAudit
from libs.contracts.audit import OPERATIONS, EntryPage, FindEntries, Phase, RecordEntry, Verified, VerifyChain
from libs.contracts.calls import Fault
from libs.contracts.rollouts import RolloutRef, RolloutStatus, SteerRollout
from libs.kit.bus import BusTimeoutError
from libs.testkit.front import KEY, Front
from libs.testkit.nats_server import NatsServer
from services.gateway.routes.api import ENDPOINTS
from tests.contract.audit_samples import ROW
from tests.contract.rollout_samples import ID, ROLLOUT
from tests.integration.gateway.admin_scene import ADMIN, ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

STATUS = RolloutStatus(rollout=ROLLOUT)
SERVICE = "rollout"
GOOD: dict[str, msgspec.Struct] = {"rollout_pause": ROLLOUT, "rollout_show": STATUS}
AUDIT: dict[str, Any] = {
    "audit_list": EntryPage((ROW,), next=2),
    "audit_verify": Verified(rows=2, until=2, link="0f" * 32, head=2),
}
FORWARDED = [
    ("GET", "/audit", None, 200, "audit_list", FindEntries()),
    ("GET", "/audit?author=k&tenant=&operation=alias_set&object=/x&since_ms=1&until_ms=2&before=3&limit=4", None, 200,
     "audit_list", FindEntries(author="k", tenant="", operation="alias_set", object="/x", since_ms=1, until_ms=2,
                               before=3, limit=4)),
    ("GET", "/audit/verification?after=1&link=ab&limit=5", None, 200, "audit_verify",
     VerifyChain(after=1, link="ab", limit=5)),
]  # fmt: skip
MISTYPED = [
    ("GET", "/audit?user=x", None, "unknown_parameter", "user"),
    ("GET", "/audit?limit=many", None, "invalid_value", "limit"),
    ("GET", "/audit/verification?after=x", None, "invalid_value", "after"),
]


class Recorder:
    """Keeps what is published instead of publishing it, and refuses if told to."""

    def __init__(self) -> None:
        self.entries: list[RecordEntry] = []
        self.refuses = False

    async def store(self, events: list[Any]) -> None:
        if self.refuses:
            raise BusTimeoutError("nobody has it on disk")
        self.entries += [msgspec.json.decode(event.payload, type=RecordEntry) for event in events]


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return {**admin_keys, "audit": True}


@pytest.fixture
def recorder(front: Front, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """In place of the bus, on which everything else goes its way."""
    recorder = Recorder()
    monkeypatch.setattr(front.gateway.audit, "store", recorder.store)
    return recorder


@pytest_asyncio.fixture(loop_scope="session")
async def audit(nats: NatsServer) -> AsyncIterator[ServiceDouble]:
    double = ServiceDouble(nats, dict(AUDIT), service="audit")
    await double.start()
    yield double
    await double.stop()


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, audit: ServiceDouble) -> None:
    await check_forwarded(front, audit, FORWARDED)
    audit.asked.clear()
    await check_refused(front, audit, MISTYPED)
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "audit"}
    assert offered == set(OPERATIONS)
    async with RestAudit(f"http://127.0.0.1:{front.port}/v1", ADMIN) as client:
        assert await client.call("audit_list", FindEntries(author="k", limit=3)) == AUDIT["audit_list"]
        assert await client.walk() == [AUDIT["audit_verify"]]


async def test_a_change_is_recorded_twice_with_the_thing_before_and_after(
    front: Front, behind: ServiceDouble, recorder: Recorder
) -> None:
    answer = await ask(front, "POST", f"/rollouts/{ID}/pause", {"reason": "why"})
    assert answer.status_code == 200
    asked, done = recorder.entries
    assert (asked.phase, done.phase) == (Phase.ASKED, Phase.DONE)
    assert asked.id == done.id
    assert (asked.operation, asked.object) == ("rollout_pause", f"/rollouts/{ID}/pause")
    assert (asked.author, asked.address) == ("ops", "127.0.0.1")
    shown = hashlib.sha256(msgspec.json.encode(STATUS)).hexdigest()
    assert (asked.before, done.before, done.after) == (shown, shown, shown)
    assert (asked.status, done.status, done.error) == (0, 200, "")
    order = [operation for operation, _ in behind.asked]
    assert order == ["rollout_show", "rollout_pause", "rollout_show"]
    assert behind.asked[0][1] == RolloutRef(ID)


async def test_what_failed_is_recorded_with_its_fault(front: Front, behind: ServiceDouble, recorder: Recorder) -> None:
    behind.answers |= {
        "rollout_pause": Fault("conflict", "It has ended."),
        "rollout_show": Fault("not_found", "There is none."),
    }
    assert (await ask(front, "POST", f"/rollouts/{ID}/pause")).status_code == 409
    asked, done = recorder.entries
    assert (asked.before, done.after, done.status, done.error) == ("", "", 409, "conflict")


async def test_what_cannot_be_recorded_is_not_done(front: Front, behind: ServiceDouble, recorder: Recorder) -> None:
    recorder.refuses = True
    answer = await ask(front, "POST", f"/rollouts/{ID}/pause")
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert SteerRollout not in {type(request) for _, request in behind.asked}


async def test_neither_figures_nor_refused_keys_are_recorded(
    front: Front, behind: ServiceDouble, recorder: Recorder
) -> None:
    assert (await ask(front, "GET", f"/rollouts/{ID}")).status_code == 200
    assert (await ask(front, "POST", f"/rollouts/{ID}/pause", key=KEY)).status_code == 403
    assert recorder.entries == []
    assert [operation for operation, _ in behind.asked] == ["rollout_show"]
