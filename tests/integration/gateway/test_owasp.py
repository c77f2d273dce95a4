"""The OWASP list of API risks as tests: what strangers, and customers who try things, get from a gateway.

Whose object it is, is in tests/integration/rollout/test_tenants.py; which role may what, in
tests/architecture/test_permissions.py.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.feedback import DeadLetter, DeadLetterPage
from libs.contracts.inference import ServedModel
from libs.contracts.permissions import Permission, Role
from libs.testkit.door import FOREIGN, OWN, PLATFORM, TENANTS, Answers, add_keys, asleep, client_of, key_of, records
from libs.testkit.front import CHAT, Front
from libs.testkit.path_double import ROUTES as PATHS
from libs.testkit.path_double import Double
from libs.testkit.wait import until
from services.gateway.app import Gateway
from services.gateway.routes.api import ENDPOINTS, PREFIX
from services.gateway.routes.endpoints import Asked, Endpoint

ADMIN: Final = key_of(Role.ADMIN, PLATFORM)
KEYS_IN_URLS: Final = ("api_key", "apikey", "API_KEY", "key", "access_token", "x-api-key", "authorization", "api%5Fkey")
SECRET: Final = "llmos-planted-secret-0123456789"
DEEP: Final = b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"identity": True}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    directory: Path = tmp_path_factory.mktemp("owasp")
    return asleep(directory)


def _with_body() -> list[Endpoint]:
    return [endpoint for endpoint in ENDPOINTS if endpoint.body is not None]


def _path(endpoint: Endpoint, value: str = "x") -> str:
    names = ("name", "alias", "reference", "pool", "upload_id", "id", "delivery", "service")
    return PREFIX + endpoint.path.format(**dict.fromkeys(names, value))


# API3: mass assignment


@pytest.mark.parametrize("field", ["tenant_id", "is_platform", "permissions", "author", "id_", "__class__", "state"])
async def test_a_field_that_no_body_has_is_refused_by_every_endpoint(gateway: Gateway, field: str) -> None:
    async with client_of(gateway, ADMIN) as http:
        for endpoint in _with_body():
            answer = await http.request(endpoint.method, _path(endpoint), content=json.dumps({field: "x"}))
            said = (endpoint.path, answer.text)
            assert answer.status_code == 400, said
            assert answer.json()["code"] in ("unknown_parameter", "missing_field"), said


async def test_a_nul_goes_nowhere(gateway: Gateway) -> None:
    async with client_of(gateway, ADMIN) as http:
        for endpoint in ENDPOINTS:
            if "{" in endpoint.path:
                answer = await http.request(endpoint.method, _path(endpoint, "a%00b"))
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_value"), endpoint.path
        loop = b'{"name": "a\\u0000b"}'
        refused = await http.put(f"{PREFIX}/loops/a", content=loop)
        assert (refused.status_code, "NUL" in refused.text) == (400, True)
        meant = await http.put(f"{PREFIX}/loops/a", content=loop.replace(b"\\u", b"\\\\u"))
        assert "NUL" not in meant.text


async def test_a_parameter_that_nobody_knows_is_refused_by_every_endpoint(gateway: Gateway) -> None:
    async with client_of(gateway, ADMIN) as http:
        for endpoint in ENDPOINTS:
            answer = await http.request(endpoint.method, f"{_path(endpoint)}?permissions=all")
            assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter"), endpoint.path


async def test_a_project_cannot_name_another_tenant(gateway: Gateway) -> None:
    async with client_of(gateway, key_of(Role.ADMIN, OWN)) as http:
        for path in ("/interactions", "/feedback/statistics", "/usage", "/keys", "/projects"):
            answer = await http.get(f"{PREFIX}{path}?tenant={FOREIGN}")
            assert answer.status_code in (400, 404), (path, answer.text)
        erasure = {"tenant": FOREIGN, "user": "u"}
        assert (await http.post(f"{PREFIX}/erasures", json=erasure)).status_code == 404
        build = {"selection": {"name": "x", "shape": "sft", "tenant": FOREIGN}}
        assert (await http.post(f"{PREFIX}/datasets", json=build)).status_code == 404


def test_every_call_that_a_project_may_make_says_whose_it_is() -> None:
    without = {one.operation for one in ENDPOINTS if "tenant" not in _request_of(one).__struct_fields__}
    assert without == WITHOUT_TENANT


WITHOUT_TENANT: Final = {
    "deployment_declare", "deployment_adjust", "garbage_collect", "dead_letter_list", "loop_apply",
    "organisation_create", "project_create", "project_change", "audit_verify", "worker_list", "worker_show",
    "worker_cordon",
    "worker_uncordon", "worker_drain", "queue_list", "request_list", "queue_purge", "request_cancel",
    "letter_list", "letter_show", "letter_read", "letter_replay", "letter_drop", "settings_show",
    "log_level_set", "service_list",
}  # fmt: skip
"""Only the platform may; and a loop says itself whose it is."""


def _request_of(endpoint: Endpoint) -> type[msgspec.Struct]:
    from services.gateway.routes.openapi import OPERATIONS  # noqa: PLC0415 - the one place that knows all contracts

    return OPERATIONS[endpoint.service][endpoint.operation][0]


# API4: consumption without bounds


async def test_bodies_that_are_too_large_or_too_deep_are_refused(gateway: Gateway) -> None:
    large = b'{"x":"' + b"a" * (2 << 20) + b'"}'
    async with client_of(gateway, ADMIN) as http:
        for endpoint in _with_body():
            for body, statuses in ((large, {413}), (DEEP, {400})):
                answer = await http.request(endpoint.method, _path(endpoint), content=body)
                assert answer.status_code in statuses, (endpoint.path, answer.status_code)


async def test_deep_and_huge_requests_do_not_break_a_hot_path(front: Front, double: Double) -> None:
    add_keys(front.gateway)
    double.on_work = lambda work: work.answer(b"{}")
    bodies = (
        DEEP,
        b'{"model":"helpdesk","max_tokens":' + b"9" * 5_000 + b"}",
        json.dumps(CHAT | {"n": 10**9}).encode(),
    )
    for body in bodies:
        answer = await front.post(body=body)
        assert answer.status_code == 400, answer.text
    assert (await front.post()).status_code == 200


# API2, and what should not be in logs


@pytest.mark.parametrize("name", KEYS_IN_URLS)
async def test_a_key_in_the_address_is_refused_and_never_logged(
    front: Front, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    add_keys(front.gateway)
    for path in ("/v1/chat/completions", "/v1/models", "/v1/feedback", f"{PREFIX}/versions", "/healthz", "/nowhere"):
        method = "POST" if path.endswith(("completions", "feedback")) else "GET"
        answer = await front.http.request(
            method, f"{path}?a=b&{name}={SECRET}", headers={"authorization": f"Bearer {ADMIN}"}
        )
        assert answer.status_code == 400, (path, answer.text)
        assert SECRET not in answer.text + str(answer.headers)
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err


async def test_a_key_that_is_refused_is_in_no_answer_and_no_log(
    front: Front, capfd: pytest.CaptureFixture[str]
) -> None:
    add_keys(front.gateway)
    for headers in ({"authorization": f"Bearer {SECRET}"}, {"x-api-key": SECRET}, {"authorization": SECRET}):
        for path in ("/v1/models", f"{PREFIX}/versions"):
            answer = await front.http.get(path, headers={"authorization": "", **headers})
            assert (answer.status_code, SECRET in answer.text + str(answer.headers)) == (401, False)
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err


# API8: headers that proxies would set


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-forwarded-prefix": "/evil.example"},
        {"x-forwarded-for": "127.0.0.1", "forwarded": "for=127.0.0.1;host=evil.example", "x-real-ip": "127.0.0.1"},
        {"x-original-url": "/healthz", "x-rewrite-url": "/healthz", "x-http-method-override": "GET"},
        {"x-user": "root", "x-tenant": OWN, "x-llmos-tenant": OWN, "x-role": "admin", "cookie": f"key={ADMIN}"},
    ],
)
async def test_headers_of_proxies_change_nothing(front: Front, headers: dict[str, str]) -> None:
    add_keys(front.gateway)
    for path in ("/v1/models/", f"{PREFIX}/versions/", f"{PREFIX}/openapi.json", "/nowhere"):
        answer = await front.http.get(path, headers={"authorization": f"Bearer {ADMIN}", **headers})
        assert "evil.example" not in answer.text + str(answer.headers), path
        assert "location" not in answer.headers
    nobody = await front.http.get("/v1/models", headers={"authorization": "", **headers})
    viewer = {"authorization": f"Bearer {key_of(Role.VIEWER, OWN)}", **headers}
    erasure = await front.http.post(f"{PREFIX}/erasures", headers=viewer, json={"tenant": FOREIGN})
    assert (nobody.status_code, erasure.status_code) == (401, 403)


# API1 and API5, where models are asked


async def test_a_model_of_a_tenant_is_there_for_its_keys_and_the_platforms_alone(front: Front, double: Double) -> None:
    add_keys(front.gateway)
    owned = ServedModel(name="acme-model", adapter=True, routes=PATHS, owner=OWN)
    double.beat("w2", models=(owned,))
    await until(lambda: len(front.gateway.fleet.targets) == 2, what="the second model")
    double.on_work = lambda work: work.answer(b"{}")
    for tenant in TENANTS:
        key = {"authorization": f"Bearer {key_of(Role.MEMBER, tenant)}"}
        seen = tenant != FOREIGN
        listed = (await front.http.get("/v1/models", headers=key)).json()["data"]
        one = await front.http.get("/v1/models/acme-model", headers=key)
        asked = await front.post(body=CHAT | {"model": "acme-model"}, **key)
        assert ("acme-model" in [model["id"] for model in listed]) == seen, tenant
        assert (one.status_code, asked.status_code) == ((200, 200) if seen else (404, 404)), tenant
    foreign = {"authorization": f"Bearer {key_of(Role.MEMBER, FOREIGN)}"}
    unknown = await front.post(body=CHAT | {"model": "nobody"}, **foreign)
    hidden = await front.post(body=CHAT | {"model": "acme-model"}, **foreign)
    assert unknown.text == hidden.text.replace("acme-model", "nobody")


async def test_a_key_for_some_models_may_ask_no_other(front: Front, double: Double) -> None:
    add_keys(front.gateway)
    follower = front.gateway.keys
    assert follower is not None
    (member,) = [one for one in records() if (one.role, one.tenant) == (Role.MEMBER, OWN)]
    follower.keyring.change([msgspec.structs.replace(member, models=("other",))])
    double.on_work = lambda work: work.answer(b"{}")
    key = {"authorization": f"Bearer {key_of(Role.MEMBER, OWN)}"}
    answer = await front.post(**key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert (await front.http.get("/v1/models", headers=key)).json()["data"] == []
    follower.keyring.change([msgspec.structs.replace(member, models=("helpdesk",))])
    assert (await front.post(**key)).status_code == 200
    follower.keyring.change([msgspec.structs.replace(member, is_revoked=True)])
    assert (await front.post(**key)).status_code == 401


async def test_a_gateway_that_has_not_read_the_keys_says_so(front: Front) -> None:
    answer = await front.http.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["keys"])


# Words that people wrote


async def test_who_may_not_read_words_gets_none_by_another_way() -> None:
    letters = DeadLetterPage((DeadLetter(id="1", time_ms=1, code="x", reason="y", payload="words"),))
    (endpoint,) = [one for one in ENDPOINTS if one.operation == "dead_letter_list"]
    assert endpoint.select is not None
    for permissions, payload in ((frozenset[Permission](), ""), (frozenset({Permission.CONTENT_READ}), "words")):
        asked = Asked(path={}, query=None, body=None, author="x", permissions=permissions)
        assert endpoint.select(asked, letters).letters[0].payload == payload
    fetching = Answers({})
    (fetch,) = [one for one in ENDPOINTS if one.operation == "version_fetch"]
    for permissions in (frozenset[Permission](), frozenset({Permission.CONTENT_READ})):
        query = msgspec.convert({}, fetch.query)
        asked = Asked(path={"reference": "x"}, query=query, body=None, author="x", permissions=permissions)
        with pytest.raises(Exception, match="nothing"):
            await fetching.call("version_fetch", fetch.call(asked))
    assert [request.weights_only for _, request in fetching.asked] == [True, False]  # type: ignore[attr-defined]


def test_the_subjects_that_a_tenant_may_choose_are_none() -> None:
    """What stands in a subject is checked before: a tenant cannot reach another's by a dot or a star."""
    for nasty in ("a.b", "*", ">", "a b", "", "a\r\nPUB x", "\x00"):
        assert not subjects.is_token(nasty)
