"""What an endpoint of the admin API is, and how the parts of a request are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from libs.contracts.permissions import Permission
from libs.kit.errors import ServiceError
from services.gateway.identity import DEFAULT_TENANT

_STRONG_TAG: Final = re.compile(r'"([^"]*)"')
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$.*`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_PATH: Final = re.compile(r" - at `\$\.([^`]+)`$")
_PLAIN_KEY: Final = re.compile(r"[!-~]{1,255}")
_REVISION: Final = re.compile(r"[0-9]{1,18}")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MAX_NAME: Final = 64


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as far as an endpoint may look at it."""

    path: Mapping[str, str]
    query: Any
    """In the endpoint's `query` type."""
    body: Any
    """In the endpoint's `body` type."""
    author: str
    """Name of the key."""
    tenant: str = ""
    """Whose things the key may see and touch; empty: everybody's."""
    permissions: frozenset[Permission] = frozenset()
    """Of the key."""
    models: frozenset[str] = frozenset()
    """Names that the key may ask; empty: every one."""
    idempotency_key: str = ""
    """By which a repeat is known."""
    if_match: str | None = None
    """The tag without its quotes."""
    must_be_new: bool = False
    """`If-None-Match: *`."""

    @property
    def conditional(self) -> bool:
        """Whether the client has said what must be so."""
        return self.if_match is not None or self.must_be_new

    def only(self, wanted: str) -> str:
        """The tenant whose things are meant where the client names `wanted`, or nobody.

        Raises:
            ServiceError: `not_found`, it is another one than the key's.
        """
        if self.tenant and wanted not in ("", self.tenant):
            raise ServiceError("not_found", f"There is no tenant `{wanted[:_MAX_NAME]}`.", param="tenant")
        return self.tenant or wanted

    def whose(self, wanted: str) -> str:
        """The project whose rows are meant: as `only`, and where a key of the platform names none the first one.

        Raises:
            ServiceError: as `only`.
        """
        return self.only(wanted) or DEFAULT_TENANT


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method on one path: a call to a service.

    Attributes:
        permission: what a key must be allowed to do; there is no endpoint without one.
        operation: of the `OPERATIONS` in the contract of `service`.
        call: makes the operation's request.
        body: type of the JSON body; None takes none. An empty body is `{}`.
        query: type whose fields are the parameters after `?`.
        status: of a good answer; 204 sends no body.
        tag: the answer's `ETag`, without quotes.
        select: what of the operation's result is answered, where that is not all of it.
        conditional: whether `If-Match` and `If-None-Match` mean something.
        idempotent: whether `Idempotency-Key` does.
    """

    method: str
    path: str
    permission: Permission
    operation: str
    summary: str
    call: Callable[[Asked], msgspec.Struct]
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    status: int = 200
    tag: Callable[[Any], str] | None = None
    select: Callable[[Asked, Any], Any] | None = None
    answer: type[msgspec.Struct] | None = None
    conditional: bool = False
    idempotent: bool = False
    service: Literal[
        "registry",
        "feedback",
        "trainer",
        "rollout",
        "identity",
        "events",
        "audit",
        "lineage",
        "presence",
        "scheduler",
        "letters",
        "settings",
    ] = "registry"


def read_query(kind: type[msgspec.Struct], given: Mapping[str, str]) -> Any:
    """The parameters after `?`.

    Raises:
        ServiceError: `unknown_parameter` or `invalid_value`.
    """
    unknown = sorted(set(given) - set(kind.__struct_fields__))
    if unknown:
        name = unknown[0][:_MAX_NAME]
        raise ServiceError("unknown_parameter", f"The parameter `{name}` is not known here.", param=name)
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error


def read_body(kind: type[msgspec.Struct], body: bytes) -> Any:
    """The JSON body.

    Raises:
        ServiceError: `invalid_json`, `missing_field`, `unknown_parameter` or `invalid_value`.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError("invalid_json", f"The body is not JSON: {error}.") from error


def check_text(given: Mapping[str, str], body: bytes) -> None:
    """Return if nothing that was given holds a NUL, which no database stores.

    Raises:
        ServiceError: `invalid_value`.
    """
    for name, value in given.items():
        if "\0" in value or "\0" in name:
            raise ServiceError("invalid_value", "There is a NUL in it.", param=name.replace("\0", "")[:_MAX_NAME])
    if b"u0000" in body and _NUL.search(body):
        raise ServiceError("invalid_value", "There is a NUL in a text of the body.")


def read_conditions(if_match: str | None, if_none_match: str | None) -> tuple[str | None, bool]:
    """The tag of `If-Match`, and whether `If-None-Match` says `*`.

    Raises:
        ServiceError: `invalid_value` for every form that is not understood; ignoring one would overwrite.
    """
    if if_none_match is not None and (if_none_match.strip() != "*" or if_match is not None):
        text = "If-None-Match may only be `*`, and not together with If-Match."
        raise ServiceError("invalid_value", text, param="If-None-Match")
    if if_match is None:
        return None, if_none_match is not None
    found = _STRONG_TAG.fullmatch(if_match.strip())
    if found is None:
        raise ServiceError("invalid_value", 'If-Match must be one tag in quotes, such as "3".', param="If-Match")
    return found[1], False


def read_idempotency_key(given: str | None) -> str:
    """What `Idempotency-Key` says, or nothing.

    Raises:
        ServiceError: `invalid_value`.
    """
    if given is None:
        return ""
    if _PLAIN_KEY.fullmatch(given) is None:
        text = "Idempotency-Key must be 1 to 255 visible ASCII characters."
        raise ServiceError("invalid_value", text, param="Idempotency-Key")
    return given


def revision_of(asked: Asked) -> int | None:
    """The revision that `If-Match` names, where a tag is one.

    Raises:
        ServiceError: `invalid_value`.
    """
    if asked.if_match is None and not asked.must_be_new:
        return None
    if asked.if_match is None or _REVISION.fullmatch(asked.if_match) is None:
        raise ServiceError("invalid_value", 'If-Match must be a revision, such as "3".', param="If-Match")
    return int(asked.if_match)


def _refusal(text: str) -> ServiceError:
    if unknown := _UNKNOWN.match(text):
        name = unknown[1][:_MAX_NAME]
        return ServiceError("unknown_parameter", f"The field `{name}` is not known here.", param=name)
    where = _PATH.search(text)
    inside = f" in `{where[1]}`" if where else ""
    if missing := _MISSING.match(text):
        return ServiceError("missing_field", f"The field `{missing[1]}`{inside} is required.", param=missing[1])
    if where is None:
        return ServiceError("invalid_value", f"The body must be a JSON object: {text}.")
    return ServiceError("invalid_value", f"`{where[1]}`: {text[: where.start()]}.", param=where[1])
