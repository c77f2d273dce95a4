"""`python -m libs.contracts.asyncapi` prints architecture/asyncapi.json: the public events as AsyncAPI 3."""

import json
from typing import Any, Final

import msgspec

from libs.contracts import subjects
from libs.contracts.public_events import MEDIA_TYPE, PUBLIC_EVENTS, CloudEvent, PublicEvent

_TEMPLATE: Final = "#/components/schemas/{name}"
_TENANT: Final = "{tenant}"
_ABOUT: Final = (
    "What a subscriber may hear of the platform, as CloudEvents 1.0 in JSON. The same events come as server-sent "
    "events and by WebSocket (`GET /v1/events`), by webhooks, and on NATS. An `id` that comes twice is a repeat."
)


def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    kinds = [CloudEvent, *(each.data for each in PUBLIC_EVENTS)]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "llmos events", "version": "1", "description": _ABOUT},
        "defaultContentType": MEDIA_TYPE,
        "channels": {_title(each): _channel(each) for each in PUBLIC_EVENTS},
        "operations": {
            f"send.{_title(each)}": {"action": "send", "channel": {"$ref": f"#/channels/{_title(each)}"}}
            for each in PUBLIC_EVENTS
        },
        "components": {
            "messages": {_title(each): _message(each) for each in PUBLIC_EVENTS},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _title(event: PublicEvent[Any]) -> str:
    return event.data.__name__.removesuffix("Data")


def _channel(event: PublicEvent[Any]) -> dict[str, Any]:
    return {
        "address": f"{subjects.PUBLIC_PREFIX}.{_TENANT}.{event.name}",
        "parameters": {"tenant": {"description": f"The project; `{subjects.PLATFORM_TOKEN}` is the platform itself."}},
        "messages": {_title(event): {"$ref": f"#/components/messages/{_title(event)}"}},
    }


def _message(event: PublicEvent[Any]) -> dict[str, Any]:
    fields = {"type": {"const": event.name}, "data": {"$ref": _TEMPLATE.format(name=event.data.__name__)}}
    envelope = {"$ref": _TEMPLATE.format(name=CloudEvent.__name__)}
    return {
        "name": event.name,
        "summary": (event.data.__doc__ or "").strip().splitlines()[0],
        "contentType": MEDIA_TYPE,
        "payload": {"allOf": [envelope, {"type": "object", "properties": fields}]},
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))  # noqa: T201 - the answer of a command
