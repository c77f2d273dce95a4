"""The registry's part of the admin API: what is forwarded, what comes back, and what goes no further."""

import asyncio
from typing import Any

import msgspec
import pytest

from libs.contracts.calls import Fault
from libs.contracts.errors import ERRORS
from libs.contracts.registry import (
    OPERATIONS,
    AdjustDeployment,
    BeginUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    Deploy,
    FetchVersion,
    FindDeployments,
    Kind,
    ListAliases,
    ListVersions,
    PoolName,
    Resolve,
    SetAlias,
    Verify,
    VersionDetails,
)
from libs.testkit.front import Front
from libs.testkit.wait import until
from services.gateway.routes.api import ENDPOINTS
from tests.integration.gateway.admin_scene import ask
from tests.integration.gateway.registry_answers import DIGEST, GOOD, MANIFEST, REFERENCE
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE = "registry"
MOVED = SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ops", reason="better")
DECLARED = Deploy(pool="default", base="helpdesk", author="ops", adapters=("a@1",), engine_args=("--x",), replicas=2)
NEW_ALIAS = {"target": "helpdesk@1", "reason": "better"}
NEW_DEPLOYMENT = {"base": "helpdesk", "adapters": ["a@1"], "engine_args": ["--x"], "replicas": 2}
CHANGE = {"add_adapters": ["a@2"], "drop_adapters": ["a@1"], "engine_args": []}
ADJUSTED = AdjustDeployment(
    pool="default", author="ops", add_adapters=("a@2",), drop_adapters=("a@1",), engine_args=()
)  # fmt: skip
FORWARDED = [
    ("GET", "/versions", None, 200, "version_list", ListVersions(), None),
    (
        "GET", "/versions?name=helpdesk&kind=model&before=b&limit=5", None, 200, "version_list",
        ListVersions(name="helpdesk", kind=Kind.MODEL, before="b", limit=5), None,
    ),
    ("GET", f"/versions/{REFERENCE}", None, 200, "version_show", Resolve(REFERENCE), DIGEST),
    ("DELETE", "/versions/helpdesk@1", None, 204, "version_delete", DeleteVersion("helpdesk@1", "ops"), None),
    ("POST", "/uploads", {"manifest": MANIFEST}, 200, "upload_begin",
     BeginUpload(manifest=MANIFEST, author="ops"), None),
    ("POST", "/uploads/u1/commit", None, 201, "upload_commit", CommitUpload("u1"), DIGEST),
    ("GET", "/versions/helpdesk/fetch?skip=256", None, 200, "version_fetch", FetchVersion("helpdesk", 256), None),
    ("POST", "/versions/helpdesk@champion/verify", None, 200, "version_verify", Verify("helpdesk@champion"), None),
    ("GET", "/models/helpdesk/aliases", None, 200, "alias_list", ListAliases("helpdesk"), None),
    ("GET", "/models/helpdesk/aliases?history_of=champion", None, 200, "alias_list",
     ListAliases("helpdesk", "champion"), None),
    ("PUT", "/models/helpdesk/aliases/champion", NEW_ALIAS, 200, "alias_set", MOVED, DIGEST),
    ("DELETE", "/models/helpdesk/aliases/champion", None, 200, "alias_set",
     SetAlias(name="helpdesk", alias="champion", target="", author="ops"), None),
    ("GET", "/deployments", None, 200, "deployment_list", FindDeployments(), None),
    ("GET", "/deployments/default", None, 200, "deployment_show", PoolName("default"), "3"),
    ("PUT", "/deployments/default", NEW_DEPLOYMENT, 200, "deployment_declare", DECLARED, "3"),
    ("PATCH", "/deployments/default", CHANGE, 200, "deployment_adjust", ADJUSTED, "3"),
    ("PATCH", "/deployments/default", {}, 200, "deployment_adjust",
     AdjustDeployment(pool="default", author="ops"), "3"),
    ("POST", "/garbage-collection", None, 200, "garbage_collect", CollectGarbage(), None),
    ("POST", "/garbage-collection", {"dry_run": False, "min_age_s": 5}, 200, "garbage_collect",
     CollectGarbage(dry_run=False, min_age_s=5), None),
]  # fmt: skip


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


@pytest.mark.parametrize("line", FORWARDED, ids=lambda line: f"{line[0]} {line[1][:40]}")
async def test_each_endpoint_is_one_call_and_answers_with_its_result(
    front: Front, behind: ServiceDouble, line: tuple[Any, ...]
) -> None:
    method, path, body, status, operation, request, tag = line
    answer = await ask(front, method, path, body, x_request_id="mine")

    assert behind.asked == [(operation, request)]
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers.get("etag") == (f'"{tag}"' if tag else None)
    if status == 204:
        assert not answer.content
    else:
        assert msgspec.json.decode(answer.content, type=OPERATIONS[operation][1]) == GOOD[operation]


def test_every_operation_has_an_endpoint_and_a_line_above() -> None:
    offered = {endpoint.operation for endpoint in ENDPOINTS if endpoint.service == "registry"}
    assert offered == set(OPERATIONS)
    assert {line[4] for line in FORWARDED} == set(OPERATIONS)


async def test_one_alias_is_found_among_all(front: Front, behind: ServiceDouble) -> None:
    found = await ask(front, "GET", "/models/helpdesk/aliases/champion")
    assert (found.status_code, found.headers["etag"], found.json()["generation"]) == (200, f'"{DIGEST}"', 2)
    missing = await ask(front, "GET", "/models/helpdesk/aliases/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert len(behind.asked) == 2


CHAMPION = "/models/helpdesk/aliases/champion"


@pytest.mark.parametrize(
    "case",
    [
        ("PUT", CHAMPION, NEW_ALIAS, {"if-match": f'"{DIGEST}"'}, "expected", DIGEST),
        ("PUT", CHAMPION, NEW_ALIAS, {"if-none-match": "*"}, "expected", ""),
        ("DELETE", CHAMPION, None, {"if-match": f'"{DIGEST}"'}, "expected", DIGEST),
        ("PUT", "/deployments/default", NEW_DEPLOYMENT, {"if-match": '"3"'}, "expected_generation", 3),
        ("PUT", "/deployments/default", NEW_DEPLOYMENT, {"if-none-match": "*"}, "expected_generation", 0),
    ],
    ids=lambda case: f"{case[0]} {case[1][-20:]} {case[3]}",
)
async def test_conditions_become_compare_and_swap(front: Front, behind: ServiceDouble, case: tuple[Any, ...]) -> None:
    method, path, body, headers, field, expected = case
    assert (await ask(front, method, path, body, **headers)).status_code == 200
    assert getattr(behind.asked[-1][1], field) == expected

    behind.answers = dict.fromkeys(OPERATIONS, Fault("conflict", "It points elsewhere by now."))
    failed = await ask(front, method, path, body, **headers)
    assert (failed.status_code, failed.json()["code"]) == (412, "conflict")
    assert (await ask(front, method, path, body)).status_code == 409, "without a condition it is an ordinary conflict"


@pytest.mark.parametrize(
    "headers",
    [{"if-match": "*"}, {"if-match": DIGEST}, {"if-match": 'W/"3"'}, {"if-match": '"1", "2"'},
     {"if-none-match": '"x"'}, {"if-none-match": "*", "if-match": '"3"'}],
)  # fmt: skip
async def test_a_condition_that_is_not_understood_is_refused_and_not_ignored(
    front: Front, behind: ServiceDouble, headers: dict[str, str]
) -> None:
    answer = await ask(front, "PUT", "/models/helpdesk/aliases/champion", NEW_ALIAS, **headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_value")
    assert (await ask(front, "PUT", "/deployments/default", NEW_DEPLOYMENT, **{"if-match": '"x"'})).status_code == 400
    assert not behind.asked


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/uploads", b"{", "invalid_json", None),
        ("/uploads", b"[]", "invalid_value", None),
        ("/uploads", {}, "missing_field", "manifest"),
        ("/uploads", {"manifest": {"name": "x", "kind": "model"}}, "missing_field", "files"),
        ("/uploads", {"manifest": {"name": "x", "kind": "zebra", "files": []}}, "invalid_value", "manifest.kind"),
        ("/uploads", {"manifest": MANIFEST, "author": "me"}, "unknown_parameter", "author"),
        ("/garbage-collection", {"dryrun": False}, "unknown_parameter", "dryrun"),
        ("/uploads", b'{"x": "' + b"x" * 2_000_000 + b'"}', "request_too_large", None),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_bodies_go_no_further(
    front: Front, behind: ServiceDouble, path: str, body: Any, code: str, param: str | None
) -> None:
    answer = await ask(front, "POST", path, body)
    assert (answer.status_code, answer.json()["code"]) == (ERRORS[code].status, code)
    assert answer.json().get("param") == param
    assert not behind.asked


@pytest.mark.parametrize(
    ("query", "code"), [("limit=many", "invalid_value"), ("kind=zebra", "invalid_value"), ("x=1", "unknown_parameter")]
)
async def test_bad_parameters_go_no_further(front: Front, behind: ServiceDouble, query: str, code: str) -> None:
    answer = await ask(front, "GET", f"/versions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not behind.asked


async def test_two_calls_at_once_get_their_own_answers(front: Front, behind: ServiceDouble) -> None:
    def named(request: Resolve) -> VersionDetails:
        found: VersionDetails = msgspec.structs.replace(
            msgspec.json.decode(msgspec.json.encode(GOOD["version_show"]), type=VersionDetails), card=request.reference
        )
        return found

    behind.answers["version_show"] = named
    answers = await asyncio.gather(*(ask(front, "GET", f"/versions/m{number}") for number in range(20)))
    assert [answer.json()["card"] for answer in answers] == [f"m{number}" for number in range(20)]
    await until(lambda: len(behind.asked) == 20)
