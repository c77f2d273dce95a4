"""Requests made up from the OpenAPI document: no answer is a failure of the server, and every one is as declared."""

from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from libs.contracts.permissions import Role
from libs.testkit.door import OWN, PLATFORM, Answers, key_of, records
from libs.testkit.smallest import smallest
from services.gateway.door import Door
from services.gateway.identity import Keyring
from services.gateway.routes.api import ENDPOINTS, build_api
from services.gateway.routes.openapi import OPERATIONS

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CASES_IN_ALL: Final = 5_000
EVERYDAY: Final = 4
"""Cases for each endpoint."""
_ALL: Final = list(HealthCheck)


def _api() -> Any:
    """The admin API with services that know one smallest thing of each kind."""
    keyring = Keyring({})
    keyring.change(records())
    services = {
        service: Answers({name: smallest(result) for name, (_, result) in operations.items()})
        for service, operations in OPERATIONS.items()
    }
    return build_api(services=services, door=Door(keyring), max_body_bytes=100_000)


SCHEMA: Final = schemathesis.openapi.from_asgi("/openapi.json", _api())


def _try(operation: Any, role: Role, tenant: str, examples: int) -> None:
    """So many made-up requests to one endpoint."""
    headers = {"authorization": f"Bearer {key_of(role, tenant)}"}

    @settings(max_examples=examples, deadline=None, suppress_health_check=_ALL, database=None, derandomize=True)
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), **headers}
        case.call_and_validate(checks=CHECKS)

    ask()


def _operations() -> list[Any]:
    found: list[Any] = list(SCHEMA.get_all_operations())
    return [one.ok() for one in found]


@pytest.mark.parametrize("operation", _operations(), ids=lambda one: one.label)
def test_what_is_made_up_is_answered_as_declared(operation: Any) -> None:
    _try(operation, Role.ADMIN, PLATFORM, EVERYDAY)


@pytest.mark.slow
@pytest.mark.parametrize("operation", _operations(), ids=lambda one: one.label)
def test_thousands_of_made_up_requests_are_answered_as_declared(operation: Any) -> None:
    each = CASES_IN_ALL // len(ENDPOINTS) // 2 + 1
    _try(operation, Role.ADMIN, PLATFORM, each)
    _try(operation, Role.OPERATOR, OWN, each)


def test_every_endpoint_is_in_the_document() -> None:
    declared = {(one.method.upper(), one.path) for one in _operations()}
    assert declared == {(one.method, one.path) for one in ENDPOINTS}
