"""The admin API: who may, what is forwarded, what comes back, and what is said when it cannot be done."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.contracts.calls import Empty, Fault
from libs.contracts.errors import ERRORS
from libs.contracts.permissions import GRANTS, Role
from libs.contracts.registry import (
    OPERATIONS,
    Alias,
    AliasList,
    BeginUpload,
    Blob,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    Deploy,
    DeployedVersion,
    Deployment,
    DeploymentList,
    DeploymentStatus,
    Fetch,
    FetchVersion,
    FindDeployments,
    Garbage,
    Kind,
    ListAliases,
    ListVersions,
    Manifest,
    ManifestFile,
    PoolName,
    Resolve,
    SetAlias,
    Upload,
    Verification,
    Verify,
    Version,
    VersionDetails,
    VersionPage,
)
from libs.kit import registry_client
from libs.testkit.front import KEY, Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from services.gateway.routes.api import ENDPOINTS
from tests.integration.gateway.admin_scene import ADMIN, ask
from tests.integration.gateway.registry_double import RegistryDouble

DIGEST = "ab" * 32
REFERENCE = f"helpdesk@sha256:{DIGEST[:12]}"
MANIFEST = Manifest(
    name="helpdesk", kind=Kind.MODEL, files=(ManifestFile("config.json", DIGEST, 2, (Blob(DIGEST, 2),)),)
)
VERSION = Version(
    reference=REFERENCE,
    name="helpdesk",
    digest=DIGEST,
    kind=Kind.MODEL,
    number=1,
    size_bytes=2,
    published_ms=1,
    published_by="ops",
)
ALIAS = Alias(name="helpdesk", alias="champion", digest=DIGEST, generation=2, author="ops", moved_ms=1)
STATUS = DeploymentStatus(
    deployment=Deployment(pool="default", generation=3, revision=9, base=DeployedVersion(REFERENCE, DIGEST)), workers=()
)
UPLOAD = Upload(upload_id="u1", digest=DIGEST, expires_ms=1, missing=(), missing_total=0)
GOOD: dict[str, msgspec.Struct] = {
    "upload_begin": UPLOAD,
    "upload_commit": VERSION,
    "version_list": VersionPage((VERSION,), "n2"),
    "version_show": VersionDetails(version=VERSION, manifest=MANIFEST, card="# Card"),
    "version_fetch": Fetch(DIGEST, MANIFEST, (), 1),
    "version_verify": Verification(DIGEST, 1, 2, ()),
    "version_delete": Empty(),
    "alias_set": ALIAS,
    "alias_list": AliasList((ALIAS,)),
    "deployment_declare": STATUS,
    "deployment_show": STATUS,
    "deployment_list": DeploymentList((STATUS,)),
    "garbage_collect": Garbage(dry_run=True, kept=1, candidates=0, deleted=0, deleted_bytes=0),
}
MOVED = SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ops", reason="better")
DECLARED = Deploy(pool="default", base="helpdesk", author="ops", adapters=("a@1",), engine_args=("--x",), replicas=2)
NEW_ALIAS = {"target": "helpdesk@1", "reason": "better"}
NEW_DEPLOYMENT = {"base": "helpdesk", "adapters": ["a@1"], "engine_args": ["--x"], "replicas": 2}


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


@pytest_asyncio.fixture(loop_scope="session")
async def registry(nats: NatsServer) -> AsyncIterator[RegistryDouble]:
    double = RegistryDouble(nats, dict(GOOD))
    await double.start()
    yield double
    await double.stop()


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
    ("POST", "/garbage-collection", None, 200, "garbage_collect", CollectGarbage(), None),
    ("POST", "/garbage-collection", {"dry_run": False, "min_age_s": 5}, 200, "garbage_collect",
     CollectGarbage(dry_run=False, min_age_s=5), None),
]  # fmt: skip


@pytest.mark.parametrize("line", FORWARDED, ids=lambda line: f"{line[0]} {line[1][:40]}")
async def test_each_endpoint_is_one_call_and_answers_with_its_result(
    front: Front, registry: RegistryDouble, line: tuple[Any, ...]
) -> None:
    method, path, body, status, operation, request, tag = line
    answer = await ask(front, method, path, body, x_request_id="mine")

    assert registry.asked == [(operation, request)]
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


async def test_one_alias_is_found_among_all(front: Front, registry: RegistryDouble) -> None:
    found = await ask(front, "GET", "/models/helpdesk/aliases/champion")
    assert (found.status_code, found.headers["etag"], found.json()["generation"]) == (200, f'"{DIGEST}"', 2)
    missing = await ask(front, "GET", "/models/helpdesk/aliases/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert len(registry.asked) == 2


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
async def test_conditions_become_compare_and_swap(
    front: Front, registry: RegistryDouble, case: tuple[Any, ...]
) -> None:
    method, path, body, headers, field, expected = case
    assert (await ask(front, method, path, body, **headers)).status_code == 200
    assert getattr(registry.asked[-1][1], field) == expected

    registry.answers = dict.fromkeys(OPERATIONS, Fault("conflict", "It points elsewhere by now."))
    failed = await ask(front, method, path, body, **headers)
    assert (failed.status_code, failed.json()["code"]) == (412, "conflict")
    assert (await ask(front, method, path, body)).status_code == 409, "without a condition it is an ordinary conflict"


@pytest.mark.parametrize(
    "headers",
    [{"if-match": "*"}, {"if-match": DIGEST}, {"if-match": 'W/"3"'}, {"if-match": '"1", "2"'},
     {"if-none-match": '"x"'}, {"if-none-match": "*", "if-match": '"3"'}],
)  # fmt: skip
async def test_a_condition_that_is_not_understood_is_refused_and_not_ignored(
    front: Front, registry: RegistryDouble, headers: dict[str, str]
) -> None:
    answer = await ask(front, "PUT", "/models/helpdesk/aliases/champion", NEW_ALIAS, **headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_value")
    assert (await ask(front, "PUT", "/deployments/default", NEW_DEPLOYMENT, **{"if-match": '"x"'})).status_code == 400
    assert not registry.asked


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_faults_become_problem_documents(front: Front, registry: RegistryDouble, code: str) -> None:
    registry.answers["version_show"] = Fault(code, "This is why.", "reference")
    answer = await ask(front, "GET", "/versions/helpdesk")

    assert answer.status_code == ERRORS[code].status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["type"], told["code"], told["status"]) == (f"urn:llmos:error:{code}", code, answer.status_code)
    assert (told["detail"], told["param"]) == ("This is why.", "reference")
    assert told["request_id"] == answer.headers["x-request-id"]


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
    front: Front, registry: RegistryDouble, path: str, body: Any, code: str, param: str | None
) -> None:
    answer = await ask(front, "POST", path, body)
    assert (answer.status_code, answer.json()["code"]) == (ERRORS[code].status, code)
    assert answer.json().get("param") == param
    assert not registry.asked


@pytest.mark.parametrize(
    ("query", "code"), [("limit=many", "invalid_value"), ("kind=zebra", "invalid_value"), ("x=1", "unknown_parameter")]
)
async def test_bad_parameters_go_no_further(front: Front, registry: RegistryDouble, query: str, code: str) -> None:
    answer = await ask(front, "GET", f"/versions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not registry.asked


@pytest.mark.parametrize(
    ("key", "status", "code"), [(KEY, 403, "forbidden"), ("sk-unknown", 401, "invalid_api_key"), ("none", 401, None)]
)
async def test_a_key_of_a_file_may_not_administer(
    front: Front, registry: RegistryDouble, key: str, status: int, code: str | None
) -> None:
    barred = [endpoint for endpoint in ENDPOINTS if endpoint.permission not in GRANTS[Role.MEMBER]]
    for method, path in {(endpoint.method, endpoint.path) for endpoint in barred}:
        answer = await ask(front, method, path, key=key)
        assert answer.status_code == status, (method, path)
        assert code is None or answer.json()["code"] == code
    assert not registry.asked


async def test_an_admin_key_may_ask_models_too(front: Front) -> None:
    answer = await front.http.get("/v1/models", headers={"authorization": f"Bearer {ADMIN}"})
    assert answer.status_code == 200


async def test_without_a_registry_it_says_so(front: Front) -> None:
    answer = await ask(front, "GET", "/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
    assert "No registry service is running" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0


async def test_a_silent_registry_is_not_waited_for_for_ever(
    front: Front, registry: RegistryDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_client, "TIMEOUT_S", 0.1)
    registry.answers["version_list"] = None
    answer = await ask(front, "GET", "/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
    assert "did not answer within 0.1 s" in answer.json()["detail"]


async def test_an_answer_that_cannot_be_read_is_an_internal_error(front: Front, registry: RegistryDouble) -> None:
    for nonsense in (b"}", b'{"result": 7}'):
        registry.answers["version_list"] = nonsense
        answer = await ask(front, "GET", "/versions")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_while_the_bus_is_away_it_says_so_at_once(front: Front, registry: RegistryDouble) -> None:
    front.gateway.bus.connected = False
    try:
        answer = await ask(front, "GET", "/versions")
    finally:
        front.gateway.bus.connected = True
    assert (answer.status_code, answer.json()["code"]) == (503, "bus_unavailable")
    assert not registry.asked


async def test_unknown_paths_and_methods_are_problems_too(front: Front) -> None:
    missing = await ask(front, "GET", "/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await ask(front, "PATCH", "/versions")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


async def test_two_calls_at_once_get_their_own_answers(front: Front, registry: RegistryDouble) -> None:
    def named(request: Resolve) -> VersionDetails:
        found: VersionDetails = msgspec.structs.replace(
            msgspec.json.decode(msgspec.json.encode(GOOD["version_show"]), type=VersionDetails), card=request.reference
        )
        return found

    registry.answers["version_show"] = named
    answers = await asyncio.gather(*(ask(front, "GET", f"/versions/m{number}") for number in range(20)))
    assert [answer.json()["card"] for answer in answers] == [f"m{number}" for number in range(20)]
    await until(lambda: len(registry.asked) == 20)


async def test_the_document_describes_every_endpoint_with_types_that_exist(front: Front) -> None:
    document = (await front.http.get("/admin/v1/openapi.json")).json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    assert document["servers"] == [{"url": "/admin/v1"}]
    names = set(document["components"]["schemas"])
    text = msgspec.json.encode(document).decode()
    used = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert used == names
    commit = document["paths"]["/uploads/{upload_id}/commit"]["post"]
    assert commit["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/Version")
    names_of = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(names_of)) == len(names_of)


class TestWithoutAdminKeys:
    """No file of admin keys."""

    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {}

    async def test_the_api_is_off(self, front: Front, registry: RegistryDouble) -> None:
        for key in (ADMIN, KEY):
            for path in ("/versions", "/openapi.json", "/nothing"):
                answer = await ask(front, "GET", path, key=key)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
                assert "GATEWAY_ADMIN_KEYS_FILE" in answer.json()["detail"]
        assert not registry.asked
