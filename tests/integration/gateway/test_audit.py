"""What is done through the admin API is recorded before it is done, and again when it is answered."""

import hashlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from cli.audit.rest import RestAudit
from libs.contracts.audit import OPERATIONS, EntryPage, FindEntries, Phase, RecordEntry, Verified, VerifyChain
from libs.contracts.calls import Fault
from libs.contracts.permissions import Permission
from libs.contracts.rollouts import RolloutRef, RolloutStatus, SteerRollout
from libs.kit.bus import BusTimeoutError
from libs.kit.rollout_client import BusRollouts
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
    """Keeps what is published instead of publishing it, and refuses phases if told to."""

    def __init__(self) -> None:
        self.entries: list[RecordEntry] = []
        self.refuses: set[Phase] = set()

    async def store(self, events: list[Any]) -> None:
        entries = [msgspec.json.decode(event.payload, type=RecordEntry) for event in events]
        if self.refuses & {entry.phase for entry in entries}:
            raise BusTimeoutError("nobody has it on disk")
        self.entries += entries


@pytest.fixture
def trusted() -> tuple[str, ...]:
    return ()


@pytest.fixture
def overrides(admin_keys: dict[str, Any], trusted: tuple[str, ...]) -> dict[str, Any]:
    networks = tuple(ipaddress.ip_network(each) for each in trusted)
    return {**admin_keys, "audit": True, "trusted_proxies": networks}


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
    recorder.refuses = {Phase.ASKED}
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


async def test_what_is_done_stays_done_where_its_outcome_cannot_be_recorded(
    front: Front, behind: ServiceDouble, recorder: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder.refuses = {Phase.DONE}
    answer = await ask(front, "POST", f"/rollouts/{ID}/pause")
    assert answer.status_code == 200
    assert SteerRollout in {type(request) for _, request in behind.asked}
    (asked,) = recorder.entries
    assert (asked.phase, asked.operation) == (Phase.ASKED, "rollout_pause")
    assert asked.id in capfd.readouterr().out, "whoever runs the platform can find which outcome is missing"


async def test_a_route_that_breaks_is_recorded_as_broken(
    front: Front, behind: ServiceDouble, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = BusRollouts.call

    async def broken(self: BusRollouts, operation: str, request: msgspec.Struct) -> Any:
        if operation == "rollout_pause":
            raise RuntimeError("a bug")
        return await call(self, operation, request)

    monkeypatch.setattr(BusRollouts, "call", broken)
    answer = await ask(front, "POST", f"/rollouts/{ID}/pause")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    asked, done = recorder.entries
    assert (asked.phase, done.phase, done.id) == (Phase.ASKED, Phase.DONE, asked.id)
    assert (done.status, done.error) == (500, "internal_error")
    assert "rollout_pause" not in [operation for operation, _ in behind.asked]


READS = [endpoint for endpoint in ENDPOINTS if endpoint.permission is Permission.CONTENT_READ]


async def test_words_that_people_wrote_are_read_on_record_or_not_at_all(front: Front, recorder: Recorder) -> None:
    assert READS
    assert all(endpoint.method == "GET" for endpoint in READS)
    for endpoint in READS:
        recorder.entries.clear()
        recorder.refuses = set()
        path = endpoint.path.replace("{id}", "req_1")
        await ask(front, "GET", path)
        asked, done = recorder.entries
        assert (asked.operation, asked.object, asked.author) == (endpoint.operation, path, "ops")
        assert (asked.phase, done.phase) == (Phase.ASKED, Phase.DONE)
        recorder.refuses = {Phase.ASKED}
        answer = await ask(front, "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")


@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)], ids=["nobody", "loopback"])
async def test_the_address_is_the_one_that_trusted_proxies_tell(
    front: Front, behind: ServiceDouble, recorder: Recorder, trusted: tuple[str, ...]
) -> None:
    told = {"x_forwarded_for": "6.6.6.6, 198.51.100.7"}
    assert (await ask(front, "POST", f"/rollouts/{ID}/pause", **told)).status_code == 200
    assert {entry.address for entry in recorder.entries} == {"198.51.100.7" if trusted else "127.0.0.1"}
    assert behind.asked
