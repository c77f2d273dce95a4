"""The OpenAPI document of the public routes, from the types that they read and the shapes that their dialects write."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from libs.contracts.requests import ROUTES, RequestBody
from services.gateway.judgements import Judgement, JudgementBatch
from services.gateway.signals import BATCH_PATH, IDEMPOTENCY_KEY, PATH, Accepted, BatchResult
from services.gateway.subscriptions.routes import PATH as EVENTS_PATH

_TEMPLATE: Final = "#/components/schemas/{name}"
_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object"}
_EVENT: Final = {
    "type": "object",
    "properties": {"event": _TEXT, "data": _TEXT, "id": _TEXT},
    "description": "Each event of the stream.",
}
_STREAM: Final = {"text/event-stream": {"schema": _EVENT}}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"x-api-key": []}]


class OpenAIFault(msgspec.Struct, frozen=True):
    """What went wrong, as the OpenAI SDKs read it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct, frozen=True):
    """The document of an error in the dialect of OpenAI."""

    error: OpenAIFault


class AnthropicFault(msgspec.Struct, frozen=True):
    """What went wrong, as the Anthropic SDKs read it, and our own code beside it."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None


class AnthropicError(msgspec.Struct, frozen=True, tag="error"):
    """The document of an error in the dialect of Anthropic."""

    error: AnthropicFault
    request_id: str | None = None


class Model(msgspec.Struct, frozen=True):
    """A model that can be asked, in a shape that both families of SDKs read."""

    id: str
    object: str
    created: int
    owned_by: str
    type: str
    display_name: str
    created_at: str
    version: str | None
    max_model_len: int | None
    pool: str
    ready_workers: int
    routes: list[str]


class Models(msgspec.Struct, frozen=True):
    """Every model that a key can ask."""

    object: str
    data: list[Model]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be served, and what is missing if not."""

    ready: bool
    missing: list[str]


_ERRORS: Final = {"openai": OpenAIError, "anthropic": AnthropicError}
_KINDS: Final = (
    *_ERRORS.values(), Judgement, JudgementBatch, Accepted, BatchResult, Model, Models, Readiness,
)  # fmt: skip


def describe(app: FastAPI) -> None:
    """Have `app` answer `/openapi.json` with the document of the public routes."""
    made = document()
    app.openapi = lambda: made  # type: ignore[method-assign] # FastAPI's own way to change the document


def document() -> dict[str, Any]:
    """All public routes but the WebSocket, which OpenAPI cannot describe."""
    found, components = msgspec.json.schema_components(_KINDS, ref_template=_TEMPLATE)
    schemas = dict(zip(_KINDS, found, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES.values():
        described = _asking(route.path, _inline(route.body), schemas[_ERRORS[route.dialect]])
        for path in (route.path, *route.aliases):
            paths[path] = {"post": described | {"operationId": _name("post", path)}}
    error = schemas[OpenAIError]
    paths[PATH] = {"post": _judging(schemas[Judgement], schemas[Accepted], "201", error)}
    paths[BATCH_PATH] = {"post": _judging(schemas[JudgementBatch], schemas[BatchResult], "200", error)}
    reading = {
        "/v1/models": ("Every model that the key can ask.", schemas[Models], ()),
        "/v1/models/{model}": ("One model.", schemas[Model], (_parameter("model", "path", required=True),)),
    }
    for path, (summary, schema, parameters) in reading.items():
        paths[path] = {"get": _reading(path, summary, _json(schema), error, parameters)}
    asked = tuple(_parameter(name, "query") for name in ("type", "after", "tenant"))
    listening = (*asked, _parameter("Last-Event-ID", "header"))
    paths[EVENTS_PATH] = {"get": _reading(EVENTS_PATH, "Public events, as they come.", _STREAM, error, listening)}
    for path, content in {
        "/healthz": {"text/plain": {"schema": _TEXT}},
        "/readyz": _json(schemas[Readiness]),
        "/metrics": {"text/plain": {"schema": _TEXT}},
    }.items():
        paths[path] = {"get": _reading(path, "For whoever runs the platform.", content, error, (), is_open=True)}
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "llmos", "version": "1"},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items())), "securitySchemes": keys},
    }


def _asking(path: str, body: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
    """A route that takes work; the engine's own answer is passed on as it is."""
    return {
        "summary": f"Work for an engine, as `{path}` of the SDKs.",
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {
            "200": {"description": "The answer, or its beginning.", "content": _json(_OBJECT) | _STREAM},
            "default": {"description": "Why not.", "content": _json(error)},
        },
        "security": _SECURITY,
    }


def _judging(body: dict[str, Any], answer: dict[str, Any], status: str, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "post_feedback" if status == "201" else "post_feedback_batch",
        "summary": "What somebody says of an answer.",
        "parameters": [_parameter(IDEMPOTENCY_KEY, "header")],
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {
            status: {"description": "It is on disk.", "content": _json(answer)},
            "default": {"description": "Why not.", "content": _json(error)},
        },
        "security": _SECURITY,
    }


def _reading(
    path: str,
    summary: str,
    content: dict[str, Any],
    error: dict[str, Any],
    parameters: Iterable[dict[str, Any]],
    *,
    is_open: bool = False,
) -> dict[str, Any]:
    return {
        "operationId": _name("get", path),
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "As asked.", "content": content},
            "default": {"description": "Why not.", "content": _json(error)},
        },
        "security": [] if is_open else _SECURITY,
    }


def _inline(body: type[RequestBody]) -> dict[str, Any]:
    """The schema of one body; what only the engine reads may be anything."""
    fields = msgspec.structs.fields(body)
    return {
        "type": "object",
        "properties": {
            each.name: {} if each.type is msgspec.Raw else msgspec.json.schema(each.type) for each in fields
        },
        "required": [each.name for each in fields if each.required],
        "additionalProperties": False,
    }


def _parameter(name: str, place: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": _TEXT}


def _name(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in path).split()
    return "_".join((method, *words))


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
