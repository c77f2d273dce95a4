"""New keys: made, or made to take over from another."""

from typing import Final, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import ApiKey, CreateKey, IssuedKey, KeyChanged, RotateKey
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.identity.domain.checks import check_expiry, check_key_id, check_limits, check_models, check_text
from services.identity.domain.rights import check_authority, check_scopes
from services.identity.domain.secrets import digest_of, new_secret, prefix_of
from services.identity.ground import Ground
from services.identity.repository import heads, keys, tenants
from services.identity.service.projects import check_revision
from services.identity.tables import OUTBOX

_MOST_OVERLAP_S: Final = 90 * 86_400
_SHOWN_ONCE: Final = "It is made, and its secret was shown once: rotate it for another, or revoke it."


class Issuing:
    """The only part that holds a key itself, for as long as it takes to answer."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, request: CreateKey) -> IssuedKey:
        """Make a key.

        Raises:
            ServiceError: `invalid_value`; `forbidden`, more than its author may give; `not_found`, the project;
                `conflict`, there is a key with this id, or the project is closed or full; or `storage_unavailable`.
        """
        now_ms = clock.unix_ms()
        _check(request, now_ms)
        key = ApiKey(
            id=request.id or f"key_{clock.new_request_id()}",
            name=request.name,
            prefix="",
            role=request.role,
            created_ms=now_ms,
            author=request.author,
            tenant=request.tenant,
            scopes=tuple(sorted(set(request.scopes))),
            models=tuple(dict.fromkeys(request.models)),
            limits=request.limits,
            expires_ms=request.expires_ms,
            revision=1,
        )
        async with self._ground.database.begin() as connection:
            await heads.lock(connection)
            if await keys.find(connection, key.id) is not None:
                raise ServiceError("conflict", f"There is a key {key.id}. {_SHOWN_ONCE}", param="id")
            issued = await self._issue(connection, key)
        self._ground.changed()
        return issued

    async def rotate(self, request: RotateKey) -> IssuedKey:
        """Make a key with the same rights and length of life; the old one ends after the overlap, if not before.

        Raises:
            ServiceError: as `create`; `conflict`, it has another revision, has ended, or has been rotated.
        """
        check_text(request.author, "author")
        if not 0 <= request.overlap_s <= _MOST_OVERLAP_S:
            text = f"`overlap_s` must be between 0 and {_MOST_OVERLAP_S}."
            raise ServiceError("invalid_value", text, param="overlap_s")
        now_ms = clock.unix_ms()
        async with self._ground.database.begin() as connection:
            await heads.lock(connection)
            old = await found_key(connection, request.id, tenant=request.tenant)
            _check_rotation(old, request, now_ms)
            issued = await self._issue(connection, _successor(old, request.author, now_ms))
            ends_ms = now_ms + request.overlap_s * 1_000
            after = msgspec.structs.replace(
                old,
                expires_ms=min(old.expires_ms or ends_ms, ends_ms),
                revoked_ms=0 if request.overlap_s else now_ms,
                rotated_to=issued.key.id,
                revision=old.revision + 1,
            )
            await write_key(connection, old, after, "rotated", request.author)
        self._ground.changed()
        return issued

    async def _issue(self, connection: AsyncConnection, key: ApiKey) -> IssuedKey:
        """Write a key under a secret of its own, and announce it."""
        if key.tenant:
            await self._check_room(connection, key.tenant, key.created_ms)
        secret = new_secret()
        key = msgspec.structs.replace(key, prefix=prefix_of(secret))
        await keys.add(connection, key, digest=digest_of(secret), changed_at=await heads.advance(connection))
        await _announce(connection, key, "created", key.author)
        return IssuedKey(key=key, secret=secret)

    async def _check_room(self, connection: AsyncConnection, tenant: str, now_ms: int) -> None:
        project = await tenants.find_project(connection, tenant)
        if project is None:
            raise ServiceError("not_found", f"There is no project `{tenant}`.", param="tenant")
        if project.closed_ms:
            raise ServiceError("conflict", f"The project {tenant} is closed; open it first.", param="tenant")
        most = self._ground.settings.keys_per_project
        if await keys.accepted(connection, tenant, now_ms) >= most:
            text = f"The project {tenant} has {most} keys, and that is the most; revoke some that nobody uses."
            raise ServiceError("conflict", text, param="tenant")


async def found_key(connection: AsyncConnection, key_id: str, *, tenant: str = "") -> ApiKey:
    """The key.

    Raises:
        ServiceError: `not_found`; it is of another project than `tenant`, or there is none.
    """
    found = None if "\0" in key_id else await keys.find(connection, key_id)
    if found is None or (tenant and found.tenant != tenant):
        raise ServiceError("not_found", f"There is no key `{key_id[:40]}`.", param="id")
    return found


async def write_key(
    connection: AsyncConnection, before: ApiKey, after: ApiKey, change: Literal["rotated", "revoked"], author: str
) -> None:
    """Write and announce what became of a key, under a revision that gateways ask for.

    Raises:
        ServiceError: `conflict`, somebody else has changed it.
    """
    if not await keys.write(connection, before, after, changed_at=await heads.advance(connection)):
        check_revision(f"key {before.id}", before.revision + 1, before.revision)
    await _announce(connection, after, change, author)


async def _announce(
    connection: AsyncConnection, key: ApiKey, change: Literal["created", "rotated", "revoked"], author: str
) -> None:
    event = KeyChanged(id=clock.new_event_id(), time_ms=clock.unix_ms(), change=change, author=author, key=key)
    await OUTBOX.add(connection, event)


def _check(request: CreateKey, now_ms: int) -> None:
    check_text(request.name, "name", required=True)
    check_text(request.author, "author")
    check_text(request.tenant, "tenant")
    check_models(request.models)
    check_limits(request.limits)
    check_expiry(request.expires_ms, now_ms)
    if request.id:
        check_key_id(request.id)
    check_scopes(request.role, request.tenant, request.scopes)
    check_authority(request.authority, request.role, request.tenant, request.scopes, request.models)


def _check_rotation(old: ApiKey, request: RotateKey, now_ms: int) -> None:
    check_revision(f"key {old.id}", old.revision, request.expected_revision)
    if old.rotated_to:
        raise ServiceError("conflict", f"The key {old.id} has been rotated; its successor is {old.rotated_to}.")
    if old.revoked_ms or 0 < old.expires_ms <= now_ms:
        raise ServiceError("conflict", f"The key {old.id} is accepted no more; make another one.")
    check_authority(request.authority, old.role, old.tenant, old.scopes, old.models)


def _successor(old: ApiKey, author: str, now_ms: int) -> ApiKey:
    return msgspec.structs.replace(
        old,
        id=f"key_{clock.new_request_id()}",
        first_key=old.first_key or old.id,
        author=author,
        created_ms=now_ms,
        expires_ms=now_ms + old.expires_ms - old.created_ms if old.expires_ms else 0,
        revision=1,
    )
