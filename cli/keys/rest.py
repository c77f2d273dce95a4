"""The identity service over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from cli.rest import Offer, RestCaller, Wanted, at, query
from libs.contracts.identity import (
    OPERATIONS,
    ChangeProject,
    CreateKey,
    CreateOrganisation,
    CreateProject,
    FindKeys,
    FindOrganisations,
    FindProjects,
    FindUsage,
    KeyRef,
    ProjectRef,
    RevokeKey,
    RotateKey,
)
from libs.kit.identity_client import TIMEOUT_S


class RestIdentity(RestCaller):
    """A gateway's admin API as the identity service; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _IDENTITY)


def _organisation_create(asked: CreateOrganisation) -> Wanted:
    return Wanted("POST", at("organisations"), _body(asked, "name", "title"))


def _organisations(asked: FindOrganisations) -> Wanted:
    return Wanted("GET", at("organisations"), query={"after": asked.after, "limit": str(asked.limit)})


def _project_create(asked: CreateProject) -> Wanted:
    return Wanted("POST", at("projects"), _body(asked, "name", "organisation", "title", "limits"))


def _project(asked: ProjectRef) -> Wanted:
    return Wanted("GET", at("projects", asked.name))


def _project_change(asked: ChangeProject) -> Wanted:
    body = {name: value for name, value in _body(asked, "title", "limits", "closed").items() if value is not None}
    return Wanted("PATCH", at("projects", asked.name), body, headers=_condition(asked.expected_revision))


def _projects(asked: FindProjects) -> Wanted:
    return Wanted("GET", at("projects"), query=query(asked))


def _key_create(asked: CreateKey) -> Wanted:
    names = ("name", "role", "tenant", "scopes", "models", "limits", "expires_ms")
    return Wanted("POST", at("keys"), _body(asked, *names))


def _key(asked: KeyRef) -> Wanted:
    return Wanted("GET", at("keys", asked.id))


def _keys(asked: FindKeys) -> Wanted:
    return Wanted("GET", at("keys"), query=query(asked))


def _key_revoke(asked: RevokeKey) -> Wanted:
    return Wanted("DELETE", at("keys", asked.id), headers=_condition(asked.expected_revision))


def _key_rotate(asked: RotateKey) -> Wanted:
    body = _body(asked, "overlap_s")
    return Wanted("POST", at("keys", asked.id, "rotate"), body, headers=_condition(asked.expected_revision))


def _usage(asked: FindUsage) -> Wanted:
    fields = query(asked)
    if "key" in fields:
        # A parameter `key` would look like a secret in an address, which gateways refuse.
        fields["key_id"] = fields.pop("key")
    return Wanted("GET", at("usage"), query=fields)


def _body(asked: msgspec.Struct, *names: str) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in names}


def _condition(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
    "organisation_create": _organisation_create,
    "organisation_list": _organisations,
    "project_create": _project_create,
    "project_show": _project,
    "project_change": _project_change,
    "project_list": _projects,
    "key_create": _key_create,
    "key_show": _key,
    "key_list": _keys,
    "key_revoke": _key_revoke,
    "key_rotate": _key_rotate,
    "usage": _usage,
}
_IDENTITY: Final = Offer(name="identity", operations=OPERATIONS, routes=_ROUTES, timeout_s=lambda _: TIMEOUT_S)
