"""Describes endpoints in OpenAPI from the types that they really read and write."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from libs.contracts import (
    audit,
    effective,
    feedback,
    identity,
    letters,
    lineage,
    registry,
    rollouts,
    scheduling,
    training,
    webhooks,
)
from libs.contracts.discovery import OPERATIONS as PRESENCE
from services.gateway.routes.endpoints import Endpoint
from services.gateway.routes.problems import MEDIA_TYPE, Problem

OPERATIONS: Final = {
    "registry": registry.OPERATIONS,
    "feedback": feedback.OPERATIONS,
    "trainer": training.OPERATIONS,
    "rollout": rollouts.OPERATIONS,
    "identity": identity.OPERATIONS,
    "events": webhooks.OPERATIONS,
    "audit": audit.OPERATIONS,
    "lineage": lineage.OPERATIONS,
    "presence": PRESENCE,
    "scheduler": scheduling.OPERATIONS,
    "letters": letters.DESK_OPERATIONS,
    "settings": effective.DESK_OPERATIONS,
}
_TEMPLATE: Final = "#/components/schemas/{name}"
_PLACEHOLDER: Final = re.compile(r"{(\w+)}")
_TEXT: Final = {"type": "string"}


class Describer:
    """Holds the schemas of all types that the endpoints use."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        answers = [_answer(each) for each in endpoints if each.status != 204]
        kinds = [Problem, *answers, *(each.body for each in endpoints if each.body)]
        distinct = list(dict.fromkeys(kinds))
        found, self._components = msgspec.json.schema_components(distinct, ref_template=_TEMPLATE)
        self._schemas = dict(zip(distinct, found, strict=True))
        self._names = _names(endpoints)

    def name(self, endpoint: Endpoint) -> str:
        """A name for generated clients; of two endpoints that share an operation, the second is about one."""
        return self._names[endpoint.method, endpoint.path]

    def describe(self, endpoint: Endpoint) -> dict[str, Any]:
        """Parameters, body and answers."""
        good: dict[str, Any] = {"description": "Done."}
        if endpoint.status != 204:
            good["content"] = {"application/json": {"schema": self._schemas[_answer(endpoint)]}}
        if endpoint.tag is not None:
            good["headers"] = {"ETag": {"schema": _TEXT}}
        problem = {"description": "Why not.", "content": {MEDIA_TYPE: {"schema": self._schemas[Problem]}}}
        described: dict[str, Any] = {
            "parameters": _parameters(endpoint),
            "responses": {str(endpoint.status): good, "default": problem},
            "security": [{"key": []}],
        }
        if endpoint.body is not None:
            schema = self._schemas[endpoint.body]
            needed = len(endpoint.body.__struct_defaults__) < len(endpoint.body.__struct_fields__)
            described["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": needed}
        return described

    def complete(self, app: FastAPI) -> None:
        """Have `app` put the schemas and the kind of key into its document."""

        def document() -> dict[str, Any]:
            if not app.openapi_schema:
                made = get_openapi(title=app.title, version=app.version, routes=app.routes)
                made["components"] = {
                    "schemas": dict(sorted(self._components.items())),
                    "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
                }
                app.openapi_schema = made
            return app.openapi_schema

        app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to extend the document


def _names(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for each in endpoints:
        name = f"{each.method.lower()}_{each.operation}"
        found[each.method, each.path] = f"{name}_one" if name in found.values() else name
    return found


def _answer(endpoint: Endpoint) -> type[msgspec.Struct]:
    return endpoint.answer or OPERATIONS[endpoint.service][endpoint.operation][1]


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _PLACEHOLDER.findall(endpoint.path)
    ]
    if endpoint.query is not None:
        # One level deep and inline: parameters are plain values.
        (_,), parts = msgspec.json.schema_components([endpoint.query], ref_template=_TEMPLATE)
        properties = parts[endpoint.query.__name__]["properties"]
        found += [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    if endpoint.conditional:
        found += [{"name": name, "in": "header", "schema": _TEXT} for name in ("If-Match", "If-None-Match")]
    if endpoint.idempotent:
        found.append({"name": "Idempotency-Key", "in": "header", "schema": _TEXT})
    return found
