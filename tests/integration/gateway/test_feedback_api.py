"""The admin API of feedback, and the command line's way through it: each endpoint is one call on the bus."""

from typing import Any

import msgspec
import pytest

from cli.feedback.rest import RestFeedback
from libs.contracts.calls import Empty, Fault
from libs.contracts.datasets import BuildDataset, DatasetJob, JobId, JobList, ListJobs, Quarantine, Selection, Shape
from libs.contracts.errors import ERRORS
from libs.contracts.feedback import (
    OPERATIONS,
    DeadLetter,
    DeadLetterPage,
    Erase,
    Erasure,
    Interaction,
    InteractionPage,
    ListDeadLetters,
    ListInteractions,
    ShowInteraction,
    Signal,
    SignalKind,
    Statistics,
    StatisticsQuery,
    StatisticsRow,
)
from libs.contracts.permissions import GRANTS, Role
from libs.kit import feedback_client
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from services.gateway.routes.api import ENDPOINTS
from tests.integration.gateway.admin_scene import ADMIN, ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

REQUEST = "ab" * 12
ANSWER = f"chatcmpl-{REQUEST}"
SIGNAL = Signal(id=f"sig_{REQUEST}", tenant="acme", kind=SignalKind.THUMB, value=True, time_ms=1, recorded_ms=2)
INTERACTION = Interaction(
    request_id=REQUEST,
    inference_id=ANSWER,
    tenant="acme",
    time_ms=1,
    model="helpdesk",
    model_version="helpdesk@sha256:0123456789ab",
    outcome="ok",
    messages=msgspec.Raw(b'[{"role":"user","content":"Hi"}]'),
    answer=msgspec.Raw(b'{"role":"assistant","content":"Ho"}'),
    signals=(SIGNAL,),
)
SELECTION = Selection(
    name="good",
    shape=Shape.SFT,
    tenant="acme",
    since_ms=5,
    tags=("a",),
    splits={"all": 1.0},
    quarantine=Quarantine(max_rater_share=0.5, trusted_raters=("ann",)),
)
JOB = DatasetJob(id="j1", state="running", selection=SELECTION, author="ops", created_ms=1, rows_read=3, rows_total=9)
LETTER = DeadLetter(id="l1", time_ms=1, code="interaction_not_found", reason="Never seen.", payload="{}")
ROW = StatisticsRow(group={"tag": "a"}, interactions=2, thumbs_up=1, approval=1.0, approval_low=0.2, approval_high=1.0)
SERVICE = "feedback"
CLIENT = RestFeedback
GOOD: dict[str, msgspec.Struct] = {
    "interaction_list": InteractionPage((INTERACTION,), "n2"),
    "interaction_show": INTERACTION,
    "statistics": Statistics((ROW,)),
    "dead_letter_list": DeadLetterPage((LETTER,)),
    "erase": Erasure("e1", 1, 1, ("good@sha256:0123456789ab",)),
    "dataset_build": JOB,
    "dataset_list": JobList((JOB,)),
    "dataset_show": JOB,
    "dataset_cancel": Empty(),
}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


FORWARDED = [
    ("GET", "/interactions", None, 200, "interaction_list", ListInteractions()),
    ("GET", "/interactions?tenant=acme&judged=true&limit=5&before=x&since_ms=3", None, 200, "interaction_list",
     ListInteractions(tenant="acme", judged=True, limit=5, before="x", since_ms=3)),
    ("GET", f"/interactions/{ANSWER}", None, 200, "interaction_show", ShowInteraction(ANSWER)),
    ("GET", "/feedback/statistics", None, 200, "statistics", StatisticsQuery()),
    ("GET", "/feedback/statistics?by=tag,day&tenant=acme&until_ms=9", None, 200, "statistics",
     StatisticsQuery(by=("tag", "day"), tenant="acme", until_ms=9)),
    ("GET", "/feedback/dead-letters?limit=3", None, 200, "dead_letter_list", ListDeadLetters(3)),
    ("POST", "/erasures", {"tenant": "acme", "user": "u-7"}, 201, "erase",
     Erase(tenant="acme", user="u-7", author="ops")),
    ("POST", "/erasures", {"user": "u-7"}, 201, "erase", Erase(tenant="default", user="u-7", author="ops")),
    ("POST", "/datasets", {"selection": SELECTION, "dry_run": True}, 202, "dataset_build",
     BuildDataset(selection=SELECTION, author="ops", dry_run=True)),
    ("POST", "/datasets", {"selection": {"name": "good", "shape": "sft"}}, 202, "dataset_build",
     BuildDataset(selection=Selection(name="good", shape=Shape.SFT, tenant="default"), author="ops")),
    ("GET", "/datasets", None, 200, "dataset_list", ListJobs()),
    ("GET", "/datasets/j1", None, 200, "dataset_show", JobId("j1")),
    ("POST", "/datasets/j1/cancel", None, 204, "dataset_cancel", JobId("j1")),
]  # fmt: skip


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, behind: ServiceDouble) -> None:
    await check_forwarded(front, behind, FORWARDED)


def test_every_operation_but_recording_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "feedback"}
    # The last two are asked by those of lineage.
    assert offered == set(OPERATIONS) - {"signal_record", "dataset_origin", "signal_reach"}
    assert {line[4] for line in FORWARDED} == offered


MISTYPED = [
    ("GET", "/interactions?limit=many", None, "invalid_value", "limit"),
    ("GET", "/interactions?user=x", None, "unknown_parameter", "user"),
    ("GET", "/feedback/statistics?by=rater", None, "invalid_value", "by"),
    ("POST", "/erasures", {"tenant": "x", "author": "me"}, "unknown_parameter", "author"),
    ("POST", "/datasets", {}, "missing_field", "selection"),
    ("POST", "/datasets", {"selection": {"name": "x", "tenant": "t"}}, "missing_field", "shape"),
    ("POST", "/datasets", {"selection": {"name": "x", "tenant": "t", "shape": "y"}}, "invalid_value",
     "selection.shape"),
    ("POST", "/datasets", {"selection": {"name": "x", "tenant": "t", "shape": "sft", "tag": ["a"]}},
     "unknown_parameter", "tag"),
    ("POST", "/datasets",
     {"selection": {"name": "x", "tenant": "t", "shape": "sft", "quarantine": {"max_share": 1}}},
     "unknown_parameter", "max_share"),
]  # fmt: skip


async def test_what_is_mistyped_goes_no_further(front: Front, behind: ServiceDouble) -> None:
    await check_refused(front, behind, MISTYPED)


@pytest.mark.parametrize("code", ["interaction_not_found", "invalid_value", "storage_unavailable", "conflict"])
async def test_faults_become_problem_documents(front: Front, behind: ServiceDouble, code: str) -> None:
    behind.answers["interaction_show"] = Fault(code, "This is why.", "id")
    answer = await ask(front, "GET", f"/interactions/{ANSWER}")
    assert (answer.status_code, answer.headers["content-type"]) == (ERRORS[code].status, "application/problem+json")
    assert (answer.json()["code"], answer.json()["detail"]) == (code, "This is why.")


@pytest.mark.parametrize(("key", "status"), [(KEY, 403), ("sk-unknown", 401)])
async def test_a_key_of_a_file_may_not_administer(front: Front, behind: ServiceDouble, key: str, status: int) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.service == "feedback" and endpoint.permission not in GRANTS[Role.MEMBER]:
            assert (await ask(front, endpoint.method, endpoint.path, key=key)).status_code == status
    assert not behind.asked


async def test_without_feedback_it_says_so_and_a_silent_one_is_not_waited_for(
    front: Front, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await ask(front, "GET", "/feedback/statistics")
    assert (answer.status_code, answer.json()["code"]) == (503, "feedback_unavailable")
    assert "No feedback service is running" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    double = ServiceDouble(nats, {"statistics": None}, service="feedback")
    await double.start()
    monkeypatch.setattr(feedback_client, "TIMEOUT_S", 0.1)
    silent = await ask(front, "GET", "/feedback/statistics")
    await double.stop()
    assert (silent.status_code, silent.json()["code"]) == (503, "feedback_unavailable")


REQUESTS = [
    ("interaction_list", ListInteractions(tenant="acme", judged=True, limit=7, before="x", since_ms=3, until_ms=9)),
    ("interaction_list", ListInteractions(model_version="helpdesk@sha256:0123456789ab")),
    ("interaction_show", ShowInteraction(ANSWER)),
    ("statistics", StatisticsQuery(by=("tag", "day"), tenant="acme")),
    ("statistics", StatisticsQuery()),
    ("dead_letter_list", ListDeadLetters(7, "x")),
    ("erase", Erase(tenant="acme", request_id=REQUEST, author="ops")),
    ("erase", Erase(tenant="acme", user="u/7 ?", author="ops")),
    ("dataset_build", BuildDataset(selection=SELECTION, author="ops", dry_run=True)),
    ("dataset_list", ListJobs(3)),
    ("dataset_show", JobId("j1")),
    ("dataset_cancel", JobId("j1")),
]


@pytest.mark.parametrize(("operation", "request_"), REQUESTS, ids=lambda value: value if isinstance(value, str) else "")
async def test_what_the_command_line_says_arrives_on_the_bus_as_it_is(
    client: RestFeedback, behind: ServiceDouble, operation: str, request_: msgspec.Struct
) -> None:
    assert await client.call(operation, request_) == GOOD[operation]
    assert behind.asked == [(operation, request_)]


async def test_the_command_line_hears_the_fault_and_tells_no_gateway_from_no_feedback(
    client: RestFeedback, behind: ServiceDouble
) -> None:
    behind.answers["interaction_show"] = Fault("interaction_not_found", "There is none.")
    with pytest.raises(ServiceError) as failed:
        await client.call("interaction_show", ShowInteraction("../../v1/models"))
    assert failed.value.code in {"not_found", "interaction_not_found"}
    async with RestFeedback(f"http://127.0.0.1:{free_port()}", ADMIN) as nobody:
        with pytest.raises(ServiceError) as failed:
            await nobody.call("dataset_list", ListJobs())
    assert failed.value.code == "feedback_unavailable"
    assert "No gateway answers" in failed.value.message
