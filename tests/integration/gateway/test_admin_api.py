"""The admin API whatever is asked: who may, how refusals look, its document, and what is said when nobody answers."""

from typing import Any

import msgspec
import pytest

from libs.contracts.calls import Fault
from libs.contracts.errors import ERRORS
from libs.contracts.permissions import GRANTS, Role
from libs.kit import registry_client
from libs.testkit.front import KEY, Front
from services.gateway.routes.api import ENDPOINTS
from tests.integration.gateway import registry_answers
from tests.integration.gateway.admin_scene import ADMIN, ask
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE, GOOD = "registry", registry_answers.GOOD


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_faults_become_problem_documents(front: Front, behind: ServiceDouble, code: str) -> None:
    behind.answers["version_show"] = Fault(code, "This is why.", "reference")
    answer = await ask(front, "GET", "/versions/helpdesk")

    assert answer.status_code == ERRORS[code].status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["type"], told["code"], told["status"]) == (f"urn:llmos:error:{code}", code, answer.status_code)
    assert (told["detail"], told["param"]) == ("This is why.", "reference")
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("key", "status", "code"), [(KEY, 403, "forbidden"), ("sk-unknown", 401, "invalid_api_key"), ("none", 401, None)]
)
async def test_a_key_of_a_file_may_not_administer(
    front: Front, behind: ServiceDouble, key: str, status: int, code: str | None
) -> None:
    barred = [endpoint for endpoint in ENDPOINTS if endpoint.permission not in GRANTS[Role.MEMBER]]
    for method, path in {(endpoint.method, endpoint.path) for endpoint in barred}:
        answer = await ask(front, method, path, key=key)
        assert answer.status_code == status, (method, path)
        assert code is None or answer.json()["code"] == code
    assert not behind.asked


async def test_an_admin_key_may_ask_models_too(front: Front) -> None:
    answer = await front.http.get("/v1/models", headers={"authorization": f"Bearer {ADMIN}"})
    assert answer.status_code == 200


async def test_without_a_registry_it_says_so(front: Front) -> None:
    answer = await ask(front, "GET", "/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
    assert "No registry service is running" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0


async def test_a_silent_registry_is_not_waited_for_for_ever(
    front: Front, behind: ServiceDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_client, "TIMEOUT_S", 0.1)
    behind.answers["version_list"] = None
    answer = await ask(front, "GET", "/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
    assert "did not answer within 0.1 s" in answer.json()["detail"]


async def test_an_answer_that_cannot_be_read_is_an_internal_error(front: Front, behind: ServiceDouble) -> None:
    for nonsense in (b"}", b'{"result": 7}'):
        behind.answers["version_list"] = nonsense
        answer = await ask(front, "GET", "/versions")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_while_the_bus_is_away_it_says_so_at_once(front: Front, behind: ServiceDouble) -> None:
    front.gateway.bus.connected = False
    try:
        answer = await ask(front, "GET", "/versions")
    finally:
        front.gateway.bus.connected = True
    assert (answer.status_code, answer.json()["code"]) == (503, "bus_unavailable")
    assert not behind.asked


async def test_unknown_paths_and_methods_are_problems_too(front: Front) -> None:
    missing = await ask(front, "GET", "/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await ask(front, "PATCH", "/versions")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


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

    async def test_the_api_is_off(self, front: Front, behind: ServiceDouble) -> None:
        for key in (ADMIN, KEY):
            for path in ("/versions", "/openapi.json", "/nothing"):
                answer = await ask(front, "GET", path, key=key)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
                assert "GATEWAY_ADMIN_KEYS_FILE" in answer.json()["detail"]
        assert not behind.asked
