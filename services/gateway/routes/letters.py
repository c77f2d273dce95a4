"""Endpoints for dead letters: what services could not take in. Only one of them shows words."""

from typing import Final

import msgspec

from libs.contracts.letters import FindAllLetters, LetterRef
from libs.contracts.permissions import Permission
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint

_MAX_SHOWN: Final = 80


class LetterFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters."""

    service: str = ""
    after: str = ""
    limit: int = 100


def _list(asked: Asked) -> FindAllLetters:
    wanted: LetterFilter = asked.query
    return FindAllLetters(service=wanted.service, after=wanted.after, limit=wanted.limit)


def _ref(asked: Asked) -> LetterRef:
    return LetterRef(id=asked.path["id"], author=asked.author)


def _words(asked: Asked) -> LetterRef:
    # Many projects' messages die in one place, so a key of one project knows of none.
    if asked.tenant:
        raise ServiceError("not_found", f"There is no dead letter `{asked.path['id'][:_MAX_SHOWN]}`.")
    return _ref(asked)


ENDPOINTS: Final = (
    Endpoint(
        service="letters",
        method="GET",
        path="/dead-letters",
        permission=Permission.LETTERS_READ,
        operation="letter_list",
        summary="Dead letters, service by service, oldest first; `next` of one page is `after` of the following one.",
        query=LetterFilter,
        call=_list,
    ),
    Endpoint(
        service="letters",
        method="GET",
        path="/dead-letters/{id}",
        permission=Permission.LETTERS_READ,
        operation="letter_show",
        summary="One dead letter, without its words.",
        call=_ref,
    ),
    Endpoint(
        service="letters",
        method="GET",
        path="/dead-letters/{id}/payload",
        permission=Permission.CONTENT_READ,
        operation="letter_read",
        summary="One dead letter with its words; only for keys of the platform.",
        call=_words,
    ),
    Endpoint(
        service="letters",
        method="POST",
        path="/dead-letters/{id}/replay",
        permission=Permission.LETTERS_WRITE,
        operation="letter_replay",
        summary="Have the service take it in after all; it is forgotten when that is done, and recorded once.",
        call=_ref,
    ),
    Endpoint(
        service="letters",
        method="DELETE",
        path="/dead-letters/{id}",
        permission=Permission.LETTERS_WRITE,
        operation="letter_drop",
        summary="Forget a dead letter for good.",
        call=_ref,
    ),
)
