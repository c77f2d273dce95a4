"""What a listener asks for, read from its request."""

from typing import Final

from starlette.requests import HTTPConnection

from libs.contracts import subjects
from libs.kit.errors import ServiceError
from libs.kit.event_types import WantedTypes, check_patterns
from services.gateway.identity import Principal
from services.gateway.subscriptions.feed import Wish

_KNOWN: Final = frozenset({"type", "after", "tenant"})
_DIGITS: Final = 18


def read_wish(request: HTTPConnection, principal: Principal) -> Wish:
    """The filters and the place to begin at.

    Raises:
        ServiceError: `unknown_parameter`, `invalid_value`, or `not_found`: the tenant of somebody else.
    """
    query = request.query_params
    unknown = sorted(set(query) - _KNOWN)
    if unknown:
        name = unknown[0][:64]
        raise ServiceError("unknown_parameter", f"The parameter `{name}` is not known here.", param=name)
    patterns = [part.strip() for given in query.getlist("type") for part in given.split(",") if part.strip()]
    after = request.headers.get("last-event-id") or query.get("after", "")
    return Wish(
        tenant=_tenant(principal, query.get("tenant", "")),
        types=WantedTypes(check_patterns(patterns, param="type")),
        after=_position(after) if after else None,
    )


def _tenant(principal: Principal, wanted: str) -> str:
    """As it stands in subjects; empty: everybody."""
    own = principal.reach
    if own:
        if wanted not in ("", own):
            raise ServiceError("not_found", f"There is no tenant `{wanted[:64]}`.", param="tenant")
        return subjects.public_token(own)
    if wanted == subjects.PLATFORM_TOKEN:
        return wanted
    return subjects.public_token(wanted) if wanted else ""


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        shown = text[:32]
        raise ServiceError("invalid_value", f"`{shown}` is not the id of an event of this stream.", param="after")
    return int(text)
