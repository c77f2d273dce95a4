"""Requests made up from the public OpenAPI document, over real sockets: none fails, and every answer is as declared."""

import json
from typing import Any, Final

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from libs.contracts.requests import ROUTES
from libs.testkit.platform import Platform
from services.gateway.public import document
from services.gateway.subscriptions.routes import PATH as EVENTS

CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EVERYDAY: Final = 12
"""Cases for each route."""
CASES_IN_ALL: Final = 5_000
MOST_TOKENS: Final = 8
_ALL: Final = list(HealthCheck)


def _operations() -> list[Any]:
    """All but the one that never ends, which has tests of its own."""
    found: list[Any] = list(schemathesis.openapi.from_dict(document()).get_all_operations())
    return [one.ok() for one in found if one.ok().path != EVENTS]


OPERATIONS: Final = _operations()


def _answerable(body: Any) -> None:
    """Have an engine see what was made up in half of the cases, and not work on it for hours."""
    if not isinstance(body, dict):
        return
    if len(str(body)) % 2 and "model" in body:
        body["model"] = "helpdesk"
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if isinstance(body.get(name), int):
            body[name] = min(body[name], MOST_TOKENS)


def _try(platform: Platform, operation: Any, examples: int) -> None:
    headers = {"authorization": f"Bearer {platform.api_key}"}

    @settings(max_examples=examples, deadline=None, suppress_health_check=_ALL, database=None, derandomize=True)
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), **headers}
        _answerable(case.body)
        response = case.call(base_url=platform.url, timeout=120)
        case.validate_response(response, checks=CHECKS)

    ask()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_what_is_made_up_is_answered_as_declared(operation: Any, fake_platform: Platform) -> None:
    _try(fake_platform, operation, EVERYDAY)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_thousands_of_made_up_requests_are_answered_as_declared(operation: Any, fake_platform: Platform) -> None:
    _try(fake_platform, operation, CASES_IN_ALL // len(OPERATIONS) + 1)


def test_the_document_that_is_served_has_every_public_route(fake_platform: Platform) -> None:
    served = httpx2.get(f"{fake_platform.url}/openapi.json").json()
    assert served == json.loads(json.dumps(document()))
    assert {path for route in ROUTES.values() for path in (route.path, *route.aliases)} < set(served["paths"])
