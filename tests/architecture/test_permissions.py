"""Every route with every role, by the one table: what it grants is let through, and nothing else."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.routing import Mount

from libs.contracts.permissions import PLATFORM_ONLY, Permission, Role, granted
from libs.contracts.requests import ROUTES, RouteContract
from libs.testkit.door import OWN, PLATFORM, asleep, client_of, key_of
from services.gateway.app import Gateway
from services.gateway.exchange import Exchange
from services.gateway.routes.api import ENDPOINTS, PREFIX
from services.gateway.routes.endpoints import Endpoint

BESIDE: Final = {
    ("GET", "/v1/models"): Permission.MODELS_READ,
    ("GET", "/v1/models/{model:path}"): Permission.MODELS_READ,
    ("POST", "/v1/feedback"): Permission.FEEDBACK_WRITE,
    ("POST", "/v1/feedback/batch"): Permission.FEEDBACK_WRITE,
    ("GET", "/v1/events"): Permission.EVENTS_READ,
    ("WEBSOCKET", "/v1/events"): Permission.EVENTS_READ,
}
"""Routes that are neither hot nor in the admin API; one that is added must be added here, too."""
OPEN: Final = {("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")}
"""Those that need no key: they tell nothing of anybody."""
WHO: Final = [(role, tenant) for role in Role for tenant in (PLATFORM, OWN)]
_PLACEHOLDER: Final = re.compile(r"{(\w+)(:path)?}")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    directory: Path = tmp_path_factory.mktemp("door")
    return asleep(directory)


def _all_routes() -> Iterator[tuple[str, str, Permission]]:
    for endpoint in ENDPOINTS:
        yield endpoint.method, PREFIX + endpoint.path, endpoint.permission
    for (method, path), permission in BESIDE.items():
        yield method, path, permission


def _served(routes: Any, prefix: str = "") -> set[tuple[str, str]]:
    """Methods and paths of an application and of what is mounted in it."""
    found: set[tuple[str, str]] = set()
    for route in routes:
        if isinstance(route, Mount):
            found |= _served(route.routes, prefix + route.path)
            continue
        methods = getattr(route, "methods", None) or {"WEBSOCKET"}
        found |= {(method, prefix + route.path) for method in methods if method != "HEAD"}
    return found


def test_every_route_names_a_permission(gateway: Gateway) -> None:
    named = {(method, path) for method, path, _ in _all_routes()}
    open_too = OPEN | {("GET", f"{PREFIX}/openapi.json")}
    assert _served(gateway._admin.routes) == named | open_too
    assert {route.permission for route in ROUTES.values()} == {Permission.INFERENCE_USE}


def test_a_route_without_a_permission_does_not_build() -> None:
    kinds: tuple[tuple[Any, dict[str, str]], ...] = ((Endpoint, {"method": "GET"}), (RouteContract, {"path": "/v1/x"}))
    for kind, fields in kinds:
        with pytest.raises(TypeError, match="permission"):
            kind(**fields)
        assert next(one for one in dataclasses.fields(kind) if one.name == "permission").default is dataclasses.MISSING


def _may(role: Role, tenant: str, permission: Permission) -> bool:
    return permission in granted(role, is_platform=not tenant)


@pytest.mark.parametrize(("role", "tenant"), WHO, ids=lambda value: str(value) or "platform")
async def test_a_role_may_what_the_table_grants_and_nothing_else(gateway: Gateway, role: Role, tenant: str) -> None:
    async with client_of(gateway, key_of(role, tenant)) as http:
        for method, path, permission in _all_routes():
            if method == "WEBSOCKET":
                continue
            # The field is refused where the key is not.
            suffix = "?types=%00&limit=none" if method == "GET" else ""
            answer = await http.request(method, _PLACEHOLDER.sub("x", path) + suffix, content=b"[")
            let_in = answer.status_code not in (401, 403)
            assert let_in == _may(role, tenant, permission), (method, path, answer.status_code, answer.text)
            if not let_in:
                assert (answer.status_code, str(permission) in answer.text) == (403, True)


@pytest.mark.parametrize(("role", "tenant"), WHO, ids=lambda value: str(value) or "platform")
async def test_a_role_may_ask_models_if_the_table_says_so(gateway: Gateway, role: Role, tenant: str) -> None:
    for route in ROUTES.values():
        status = await _asked(gateway, route, key_of(role, tenant))
        assert (status != 403) == _may(role, tenant, route.permission), route.path


async def test_without_a_key_only_the_open_routes_answer(gateway: Gateway) -> None:
    async with client_of(gateway) as http:
        for method, path, _ in _all_routes():
            if method != "WEBSOCKET":
                answer = await http.request(method, _PLACEHOLDER.sub("x", path))
                assert answer.status_code == 401, (method, path)
        for method, path in OPEN:
            assert (await http.request(method, path)).status_code in (200, 503), path
    for route in ROUTES.values():
        assert await _asked(gateway, route, "") == 401


def test_no_key_of_a_project_has_what_only_the_platform_has() -> None:
    for role in Role:
        assert not granted(role, is_platform=False) & PLATFORM_ONLY
        assert not granted(role, is_platform=False, scopes=PLATFORM_ONLY)


class _Hot:
    """One request on a hot path; its body is no JSON."""

    method = b"POST"
    gone = False
    blocked = False

    def __init__(self, route: RouteContract, key: str) -> None:
        self.route = route
        self.headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"[", "more_body": False}

    def watch(self, on_lost: Any) -> None:
        """Nobody is lost."""

    def abort(self) -> None:
        """Nothing waits."""

    def begin(self, status: int, lines: bytes, *, whole: bool) -> None:  # noqa: ARG002 - as a connection has it
        self.status = status

    def write(self, body: bytes, *, more: bool) -> None:
        """Nobody reads it."""

    async def drained(self) -> None:
        """At once."""


async def _asked(gateway: Gateway, route: RouteContract, key: str) -> int:
    request = _Hot(route, key)
    assert Exchange(route, request).status == 0
    await gateway.endpoint.serve(request)
    return request.status
