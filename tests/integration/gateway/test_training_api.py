"""The admin API of the trainer, and the command line's way through it: each endpoint is one call on the bus."""

from typing import Any

import msgspec
import pytest

from cli.training.rest import RestTrainer
from libs.contracts.calls import Fault
from libs.contracts.permissions import GRANTS, Role
from libs.contracts.training import (
    OPERATIONS,
    FindJobs,
    JobKind,
    JobLog,
    JobPage,
    JobRef,
    JobState,
    LogLine,
    OrderEvaluation,
    OrderTraining,
    ReadLog,
)
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, Front
from services.gateway.routes.api import ENDPOINTS
from tests.contract.training_samples import EVALUATION, ID, JOB, PLAN
from tests.integration.gateway.admin_scene import ask, check_forwarded, check_refused
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE = "trainer"
CLIENT = RestTrainer
GOOD: dict[str, msgspec.Struct] = {
    "training_order": JOB,
    "evaluation_order": JOB,
    "job_list": JobPage((JOB,), "7"),
    "job_show": JOB,
    "job_log": JobLog((LogLine(1, 2, 3, "text"),)),
    "job_pause": JOB,
    "job_resume": JOB,
    "job_cancel": JOB,
}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


FORWARDED = [
    ("POST", "/trainings", {"plan": PLAN, "id": ID}, 202, "training_order",
     OrderTraining(plan=PLAN, author="ops", id=ID)),
    ("POST", "/evaluations", {"plan": EVALUATION}, 202, "evaluation_order",
     OrderEvaluation(plan=EVALUATION, author="ops")),
    ("GET", "/jobs", None, 200, "job_list", FindJobs()),
    ("GET", "/jobs?state=running&kind=training&before=9&limit=5", None, 200, "job_list",
     FindJobs(state=JobState.RUNNING, kind=JobKind.TRAINING, before="9", limit=5)),
    ("GET", "/jobs/j1", None, 200, "job_show", JobRef("j1")),
    ("GET", "/jobs/j1/log?after=3&limit=4", None, 200, "job_log", ReadLog(id="j1", after=3, limit=4)),
    ("POST", "/jobs/j1/pause", None, 200, "job_pause", JobRef("j1")),
    ("POST", "/jobs/j1/resume", None, 200, "job_resume", JobRef("j1")),
    ("POST", "/jobs/j1/cancel", None, 200, "job_cancel", JobRef("j1")),
]  # fmt: skip


async def test_each_endpoint_is_one_call_and_answers_with_its_result(front: Front, behind: ServiceDouble) -> None:
    await check_forwarded(front, behind, FORWARDED)


def test_every_operation_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "trainer"}
    assert offered == set(OPERATIONS) == {line[4] for line in FORWARDED}


MISTYPED = [
    ("GET", "/jobs?state=busy", None, "invalid_value", "state"),
    ("GET", "/jobs?user=x", None, "unknown_parameter", "user"),
    ("POST", "/trainings", {}, "missing_field", "plan"),
    ("POST", "/trainings", {"plan": {"name": "x"}}, "missing_field", "dataset"),
    ("POST", "/trainings", {"plan": {"name": "x", "dataset": "y"}, "author": "me"}, "unknown_parameter", "author"),
    ("POST", "/trainings", {"plan": {"name": "x", "dataset": "y", "recipe": {"step": 1}}}, "unknown_parameter",
     "step"),
    ("POST", "/evaluations", {"plan": {"tasks": [{"name": "t", "metric": "x"}]}}, "unknown_parameter", "metric"),
]  # fmt: skip


async def test_what_is_mistyped_goes_no_further(front: Front, behind: ServiceDouble) -> None:
    await check_refused(front, behind, MISTYPED)


async def test_a_key_of_a_file_may_not_administer_and_without_a_trainer_it_says_so(front: Front) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.service == "trainer" and endpoint.permission not in GRANTS[Role.MEMBER]:
            assert (await ask(front, endpoint.method, endpoint.path, key=KEY)).status_code == 403
    answer = await ask(front, "GET", "/jobs")
    assert (answer.status_code, answer.json()["code"]) == (503, "trainer_unavailable")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("training_order", OrderTraining(plan=PLAN, author="ops", id=ID)),
        ("evaluation_order", OrderEvaluation(plan=EVALUATION, author="ops")),
        ("job_list", FindJobs(state=JobState.PAUSED, kind=JobKind.EVALUATION, before="9", limit=3)),
        ("job_list", FindJobs()),
        ("job_show", JobRef(ID)),
        ("job_log", ReadLog(id=ID, after=5)),
        ("job_pause", JobRef(ID)),
        ("job_resume", JobRef(ID)),
        ("job_cancel", JobRef("a ?b")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_command_line_says_arrives_on_the_bus_as_it_is(
    client: RestTrainer, behind: ServiceDouble, operation: str, request_: msgspec.Struct
) -> None:
    assert await client.call(operation, request_) == GOOD[operation]
    assert behind.asked == [(operation, request_)]


@pytest.mark.parametrize("code", ["job_not_found", "bad_dataset", "incompatible_base", "conflict"])
async def test_the_command_line_hears_the_fault(client: RestTrainer, behind: ServiceDouble, code: str) -> None:
    behind.answers["job_show"] = Fault(code, "This is why.", "id")
    with pytest.raises(ServiceError, match="This is why") as failed:
        await client.call("job_show", JobRef(ID))
    assert failed.value.code == code
