"""Endpoints for API keys; a key itself is in no answer but the one to its making."""

import hashlib
from typing import Final

import msgspec

from libs.contracts.identity import Authority, CreateKey, FindKeys, KeyRef, RevokeKey, RotateKey
from libs.contracts.permissions import Permission, Role
from services.gateway.routes.endpoints import Asked, Endpoint, revision_of
from services.gateway.routes.tenants import GivenLimits

_ID_DIGITS: Final = 24
_DAY_S: Final = 86_400


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key and what it may do."""

    name: str
    role: Role
    tenant: str = ""
    """The project; left out, it is that of the key that asks: a key of the platform makes one of the platform."""
    scopes: tuple[Permission, ...] = ()
    """Within its role; empty: all of it."""
    models: tuple[str, ...] = ()
    """Names that it may ask; empty: all that its project may."""
    limits: GivenLimits = GivenLimits()
    expires_ms: int = 0


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the old key stays good."""

    overlap_s: int = _DAY_S


class KeyFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys; `revoked` lists those, too, that are accepted no more."""

    tenant: str = ""
    revoked: bool = False
    after: str = ""
    limit: int = 100


def _create_key(asked: Asked) -> CreateKey:
    body: NewKey = asked.body
    tenant = asked.only(body.tenant)
    return CreateKey(
        name=body.name,
        role=body.role,
        author=asked.author,
        tenant=tenant,
        scopes=body.scopes,
        models=body.models,
        limits=body.limits,
        expires_ms=body.expires_ms,
        id=_key_id(asked, tenant),
        authority=_authority(asked),
    )


def _key_id(asked: Asked, tenant: str) -> str:
    """The same for a repeat by the same author for the same project; empty without an `Idempotency-Key`."""
    if not asked.idempotency_key:
        return ""
    parts = f"{asked.author}\0{tenant}\0{asked.idempotency_key}"
    return f"key_{hashlib.sha256(parts.encode()).hexdigest()[:_ID_DIGITS]}"


def _authority(asked: Asked) -> Authority:
    return Authority(
        permissions=tuple(sorted(asked.permissions)), tenant=asked.tenant, models=tuple(sorted(asked.models))
    )


def _rotate_key(asked: Asked) -> RotateKey:
    return RotateKey(
        id=asked.path["id"],
        author=asked.author,
        tenant=asked.tenant,
        overlap_s=asked.body.overlap_s,
        expected_revision=revision_of(asked),
        authority=_authority(asked),
    )


def _revoke_key(asked: Asked) -> RevokeKey:
    return RevokeKey(
        id=asked.path["id"], author=asked.author, tenant=asked.tenant, expected_revision=revision_of(asked)
    )


ENDPOINTS: Final = (
    Endpoint(
        service="identity",
        method="POST",
        path="/keys",
        permission=Permission.KEYS_WRITE,
        operation="key_create",
        summary="Make a key; the answer shows it, and nothing does again.",
        body=NewKey,
        call=_create_key,
        status=201,
        tag=lambda issued: str(issued.key.revision),
        idempotent=True,
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/keys",
        permission=Permission.KEYS_READ,
        operation="key_list",
        summary="Keys, newest first; `next` of one page is `after` of the following one.",
        query=KeyFilter,
        call=lambda asked: FindKeys(
            tenant=asked.only(asked.query.tenant),
            after=asked.query.after,
            limit=asked.query.limit,
            revoked=asked.query.revoked,
        ),
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/keys/{id}",
        permission=Permission.KEYS_READ,
        operation="key_show",
        summary="One key: what it may do, and until when.",
        call=lambda asked: KeyRef(id=asked.path["id"], tenant=asked.tenant),
        tag=lambda key: str(key.revision),
    ),
    Endpoint(
        service="identity",
        method="POST",
        path="/keys/{id}/rotate",
        permission=Permission.KEYS_WRITE,
        operation="key_rotate",
        summary="Make a key with the same rights, shown once; the old one stays good for a while.",
        body=Rotation,
        call=_rotate_key,
        status=201,
        tag=lambda issued: str(issued.key.revision),
        conditional=True,
    ),
    Endpoint(
        service="identity",
        method="DELETE",
        path="/keys/{id}",
        permission=Permission.KEYS_WRITE,
        operation="key_revoke",
        summary="Accept a key no more; again changes nothing.",
        call=_revoke_key,
        tag=lambda key: str(key.revision),
        conditional=True,
    ),
)
