"""The admin API of rollouts and loops, and the command line's way through it: each endpoint is one call on the bus."""

from typing import Any

import msgspec
import pytest

from cli.rest import RestCaller
from cli.rollouts.rest import RestRollouts
from libs.contracts.calls import Empty, Fault
from libs.contracts.permissions import GRANTS, Role
from libs.contracts.rollouts import (
    OPERATIONS,
    ApplyLoop,
    DeclaredLoop,
    FindLoops,
    FindRollouts,
    FindTurns,
    Loop,
    LoopList,
    LoopName,
    OrderRollout,
    RolloutPage,
    RolloutRef,
    RolloutState,
    RolloutStatus,
    SteerRollout,
    TurnPage,
    TurnRef,
)
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, Front
from services.gateway.routes.api import ENDPOINTS
from tests.contract.rollout_samples import CHANGE, DECISION, ID, LOOP, PLAN, ROLLOUT, STATUS, TURN, TURN_ID
from tests.integration.gateway.admin_scene import ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE = "rollout"
CLIENT = RestRollouts
NAME = LOOP.name
STEERED = ("pause", "resume", "promote", "abort", "roll-back")
GOOD: dict[str, msgspec.Struct] = {
    "rollout_order": ROLLOUT,
    "rollout_list": RolloutPage((ROLLOUT,), "n2"),
    "rollout_show": RolloutStatus(rollout=ROLLOUT, now=DECISION, history=(CHANGE,), agreement=0.5),
    **{f"rollout_{verb.replace('-', '_')}": ROLLOUT for verb in STEERED},
    "loop_apply": STATUS,
    "loop_list": LoopList((STATUS,)),
    "loop_show": STATUS,
    "loop_pause": STATUS,
    "loop_resume": STATUS,
    "loop_remove": Empty(),
    "loop_turn": TURN,
    "turn_list": TurnPage((TURN,), "n2"),
    "turn_show": TURN,
    "turn_cancel": TURN,
}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


def _of(tenant: str, selected: str) -> Loop:
    """The loop, whose it is and of whom it learns."""
    selection = msgspec.structs.replace(LOOP.selection, tenant=selected)
    return msgspec.structs.replace(LOOP, tenant=tenant, selection=selection)


SELECTION = {name: value for name, value in msgspec.to_builtins(LOOP.selection).items() if name != "tenant"}
UNSAID = msgspec.to_builtins(LOOP) | {"selection": SELECTION}
"""The loop of somebody who does not say of whom it learns."""
FORWARDED = [
    ("POST", "/rollouts", {"plan": PLAN, "id": ID}, 202, "rollout_order",
     OrderRollout(plan=PLAN, author="ops", id=ID)),
    ("GET", "/rollouts", None, 200, "rollout_list", FindRollouts()),
    ("GET", "/rollouts?name=x&state=paused&before=9&limit=5", None, 200, "rollout_list",
     FindRollouts(name="x", state=RolloutState.PAUSED, before="9", limit=5)),
    ("GET", f"/rollouts/{ID}", None, 200, "rollout_show", RolloutRef(ID)),
    *(("POST", f"/rollouts/{ID}/{verb}", {"reason": "I say so."}, 200, f"rollout_{verb.replace('-', '_')}",
       SteerRollout(id=ID, author="ops", reason="I say so.")) for verb in STEERED),
    ("POST", f"/rollouts/{ID}/pause", None, 200, "rollout_pause", SteerRollout(id=ID, author="ops")),
    ("PUT", f"/loops/{NAME}", LOOP, 200, "loop_apply", ApplyLoop(loop=LOOP, author="ops")),
    ("PUT", f"/loops/{NAME}", UNSAID, 200, "loop_apply",
     ApplyLoop(loop=_of("", "default"), author="ops")),
    ("PUT", f"/loops/{NAME}", UNSAID | {"tenant": "acme"}, 200, "loop_apply",
     ApplyLoop(loop=_of("acme", "acme"), author="ops")),
    ("GET", "/loops", None, 200, "loop_list", FindLoops()),
    ("GET", f"/loops/{NAME}", None, 200, "loop_show", LoopName(NAME, "ops")),
    ("DELETE", f"/loops/{NAME}", None, 204, "loop_remove", LoopName(NAME, "ops")),
    ("POST", f"/loops/{NAME}/pause", None, 200, "loop_pause", LoopName(NAME, "ops")),
    ("POST", f"/loops/{NAME}/resume", None, 200, "loop_resume", LoopName(NAME, "ops")),
    ("POST", f"/loops/{NAME}/turn", None, 202, "loop_turn", LoopName(NAME, "ops")),
    ("GET", "/turns", None, 200, "turn_list", FindTurns()),
    ("GET", "/turns?loop=a&version=b&dataset=c&before=9&limit=5", None, 200, "turn_list",
     FindTurns(loop="a", version="b", dataset="c", before="9", limit=5)),
    ("GET", f"/turns/{TURN_ID}", None, 200, "turn_show", TurnRef(TURN_ID, "ops")),
    ("POST", f"/turns/{TURN_ID}/cancel", None, 200, "turn_cancel", TurnRef(TURN_ID, "ops")),
]  # fmt: skip


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, behind: ServiceDouble) -> None:
    await check_forwarded(front, behind, FORWARDED)


def test_every_operation_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "rollout"}
    assert offered == set(OPERATIONS) == {line[4] for line in FORWARDED}


MISTYPED = [
    ("GET", "/rollouts?state=busy", None, "invalid_value", "state"),
    ("GET", "/turns?user=x", None, "unknown_parameter", "user"),
    ("POST", "/rollouts", {}, "missing_field", "plan"),
    ("POST", "/rollouts", b"{nonsense", "invalid_json", None),
    ("POST", "/rollouts", {"plan": {"name": "x"}, "author": "me"}, "unknown_parameter", "author"),
    ("POST", "/rollouts", {"plan": {"share": 1}}, "unknown_parameter", "share"),
    ("POST", "/rollouts", {"plan": {"steps": [{"share": 0.5, "shaddow": True}]}}, "unknown_parameter", "shaddow"),
    ("POST", "/rollouts", {"plan": {"margins": [{"guard": "mood", "margin": 1}]}}, "invalid_value",
     "plan.margins[0].guard"),
    ("POST", f"/rollouts/{ID}/abort", {"why": "x"}, "unknown_parameter", "why"),
    ("PUT", "/loops/other", LOOP, "invalid_value", "name"),
    ("PUT", "/loops/a", {"name": "a", "model": "b"}, "missing_field", "selection"),
    ("PUT", f"/loops/{NAME}", msgspec.to_builtins(LOOP) | {"trigger": {"signal": 1}}, "unknown_parameter",
     "signal"),
    ("PUT", f"/loops/{NAME}", msgspec.to_builtins(LOOP) | {"selection": {"name": "x", "tag": ["a"]}},
     "unknown_parameter", "tag"),
]  # fmt: skip


async def test_what_is_mistyped_goes_no_further(front: Front, behind: ServiceDouble) -> None:
    await check_refused(front, behind, MISTYPED)


async def test_a_key_of_a_file_may_not_administer_and_without_the_service_it_says_so(front: Front) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.service == "rollout" and endpoint.permission not in GRANTS[Role.MEMBER]:
            assert (await ask(front, endpoint.method, endpoint.path, key=KEY)).status_code == 403
    answer = await ask(front, "GET", "/loops")
    assert (answer.status_code, answer.json()["code"]) == (503, "rollout_unavailable")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("rollout_order", OrderRollout(plan=PLAN, author="ops", id=ID)),
        ("rollout_list", FindRollouts(name="x", state=RolloutState.PAUSED, before="9", limit=3)),
        ("rollout_show", RolloutRef("a ?b")),
        *((f"rollout_{verb.replace('-', '_')}", SteerRollout(id=ID, author="ops", reason="So.")) for verb in STEERED),
        ("loop_apply", ApplyLoop(loop=LOOP, author="ops")),
        ("loop_list", FindLoops()),
        *((f"loop_{verb}", LoopName(NAME, "ops")) for verb in ("show", "pause", "resume", "turn", "remove")),
        ("turn_list", FindTurns(loop="a", version="b", dataset="c", before="9", limit=3)),
        ("turn_show", TurnRef(TURN_ID, "ops")),
        ("turn_cancel", TurnRef(TURN_ID, "ops")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_command_line_says_arrives_on_the_bus_as_it_is(
    client: RestCaller, behind: ServiceDouble, operation: str, request_: msgspec.Struct
) -> None:
    assert await client.call(operation, request_) == GOOD[operation]
    assert behind.asked == [(operation, request_)]


@pytest.mark.parametrize("code", ["conflict", "invalid_value", "storage_unavailable"])
async def test_the_command_line_hears_the_fault(client: RestCaller, behind: ServiceDouble, code: str) -> None:
    behind.answers["rollout_show"] = Fault(code, "This is why.", "id")
    with pytest.raises(ServiceError, match="This is why") as failed:
        await client.call("rollout_show", RolloutRef(ID))
    assert failed.value.code == code


async def test_the_document_describes_them(front: Front) -> None:
    paths = (await ask(front, "GET", "/openapi.json")).json()["paths"]
    put = paths["/loops/{name}"]["put"]
    assert put["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{DeclaredLoop.__name__}")
    assert {"get", "put", "delete"} <= set(paths["/loops/{name}"])
    assert "post" in paths["/rollouts/{id}/roll-back"]
