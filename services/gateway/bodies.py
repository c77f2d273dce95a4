"""Reads request bodies: bounded, decoded once, checked against the route's allow-list."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from libs.contracts.requests import ROUTES, RequestBody, RouteContract
from libs.kit.errors import ServiceError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_PATH: Final = re.compile(r" - at `\$\.([^`]+)`$")
_MAX_NAME: Final = 64

_DECODE: Final = {path: msgspec.json.Decoder(route.body).decode for path, route in ROUTES.items()}


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, declared: bytes, *, limit: int, timeout_s: float) -> bytes:
    """The whole body; `declared` is its `content-length` header, empty if it came in chunks.

    Raises:
        ServiceError: `request_too_large`, or `invalid_value` if it came too slowly.
        ClientGoneError: the connection ended first.
    """
    if declared and int(declared) > limit:  # the HTTP parser lets digits only through
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    try:
        async with asyncio.timeout(timeout_s):
            return await _read_parts(receive, message, limit)
    except TimeoutError as error:
        raise ServiceError("invalid_value", f"The body did not arrive within {timeout_s:g} s.") from error


def decode(route: RouteContract, body: bytes) -> RequestBody:
    """Read the fields that the platform needs and check that every other one is allowed.

    Raises:
        ServiceError: `invalid_json`, `missing_field`, `unknown_parameter` or `invalid_value`.
    """
    try:
        if not body.isascii():
            # Raw fields are not looked into, so their text would pass undecoded.
            body.decode()
        return _DECODE[route.path](body)
    except msgspec.ValidationError as error:
        raise _refusal(route, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError("invalid_json", f"The body is not JSON: {error}.") from error


async def _read_parts(receive: Receive, message: MutableMapping[str, Any], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _too_large(limit: int) -> ServiceError:
    return ServiceError("request_too_large", f"The body is larger than {limit} bytes.")


def _refusal(route: RouteContract, text: str) -> ServiceError:
    if unknown := _UNKNOWN.match(text):
        name = unknown[1][:_MAX_NAME]
        why = "may not be set by clients" if name in route.refused else f"is not known to {route.path}"
        return ServiceError("unknown_parameter", f"The field `{name}` {why}.", param=name)
    if missing := _MISSING.match(text):
        return ServiceError("missing_field", f"The field `{missing[1]}` is required.", param=missing[1])
    where = _PATH.search(text)
    if where is None:
        return ServiceError("invalid_value", "The body must be a JSON object.")
    return ServiceError("invalid_value", f"`{where[1]}`: {text[: where.start()]}.", param=where[1])
