"""Endpoints for aliases; an alias's tag is the digest that it points to."""

from typing import Any, Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.registry import Alias, ListAliases, SetAlias
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint


class NewTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an alias is to point."""

    target: str
    """`name@alias`, `name@sha256:<at least 12 hex>`, `name@<number>` or `name`."""
    reason: str = ""


class History(msgspec.Struct, frozen=True):
    """Whether every move of one alias is wanted, instead of where each points now."""

    history_of: str = ""


def _move(asked: Asked) -> SetAlias:
    return SetAlias(
        name=asked.path["name"],
        alias=asked.path["alias"],
        target=asked.body.target,
        author=asked.author,
        expected=_expected(asked),
        reason=asked.body.reason,
        tenant=asked.tenant,
    )


def _remove(asked: Asked) -> SetAlias:
    name, alias = asked.path["name"], asked.path["alias"]
    return SetAlias(
        name=name, alias=alias, target="", author=asked.author, expected=_expected(asked), tenant=asked.tenant
    )


def _expected(asked: Asked) -> str | None:
    return "" if asked.must_be_new else asked.if_match


def _one(asked: Asked, found: Any) -> Alias:
    for alias in found.aliases:
        if alias.alias == asked.path["alias"]:
            one: Alias = alias
            return one
    raise ServiceError("not_found", f"`{asked.path['name'][:80]}` has no alias `{asked.path['alias'][:80]}`.")


_ONE: Final = "/models/{name}/aliases/{alias}"

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/models/{name}/aliases",
        permission=Permission.MODELS_READ,
        operation="alias_list",
        summary="Aliases of a name, or every move of one of them, newest first.",
        query=History,
        call=lambda asked: ListAliases(asked.path["name"], asked.query.history_of, asked.tenant),
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        permission=Permission.MODELS_READ,
        operation="alias_list",
        summary="Where an alias points.",
        call=lambda asked: ListAliases(asked.path["name"], tenant=asked.tenant),
        select=_one,
        answer=Alias,
        tag=lambda alias: alias.digest,
    ),
    Endpoint(
        method="PUT",
        path=_ONE,
        permission=Permission.MODELS_WRITE,
        operation="alias_set",
        summary="Move an alias; `If-Match` names the digest that it must point to now, `If-None-Match: *` wants none.",
        body=NewTarget,
        call=_move,
        tag=lambda alias: alias.digest,
        conditional=True,
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        permission=Permission.MODELS_WRITE,
        operation="alias_set",
        summary="Remove an alias; `If-Match` names the digest that it must point to now.",
        call=_remove,
        conditional=True,
    ),
)
