"""All SQL about keys."""

from typing import Any, Final, NamedTuple

from sqlalchemy import Row, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import ApiKey, KeyRecord, Limits
from libs.contracts.permissions import Permission, Role
from services.identity.repository.tenants import limits_of, limits_text
from services.identity.tables import keys, projects

_TOUCH: Final = """
update identity.keys set changed_at = :first + numbered.place
from (
    select id, row_number() over (order by sequence) - 1 as place from identity.keys where tenant = :tenant
) as numbered
where keys.id = numbered.id
"""


class Listed(NamedTuple):
    """A key and its place in the list."""

    sequence: int
    key: ApiKey


class Changed(NamedTuple):
    """What gateways must know of a key, and the revision that its newest change made."""

    revision: int
    record: KeyRecord


async def add(connection: AsyncConnection, key: ApiKey, *, digest: str, changed_at: int) -> None:
    """Write a new key."""
    values = {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "digest": digest,
        "role": key.role.value,
        "tenant": key.tenant or None,
        "scopes": [scope.value for scope in key.scopes],
        "models": list(key.models),
        "limits": limits_text(key.limits),
        "first_key": key.first_key,
        "author": key.author,
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "revision": key.revision,
        "changed_at": changed_at,
    }
    await connection.execute(insert(keys).values(values))


async def find(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """One key."""
    row = (await connection.execute(select(keys).where(keys.c.id == key_id))).first()
    return None if row is None else _key(row)


async def write(connection: AsyncConnection, before: ApiKey, key: ApiKey, *, changed_at: int) -> bool:
    """Write when a key ends and what takes over; False if somebody else has changed it meanwhile."""
    statement = (
        update(keys)
        .where(keys.c.id == key.id, keys.c.revision == before.revision)
        .values(
            expires_ms=key.expires_ms,
            revoked_ms=key.revoked_ms,
            rotated_to=key.rotated_to,
            revision=key.revision,
            changed_at=changed_at,
        )
    )
    return bool((await connection.execute(statement)).rowcount)


async def accepted(connection: AsyncConnection, tenant: str, now_ms: int) -> int:
    """How many keys of a project have neither ended nor been revoked."""
    query = select(func.count()).where(keys.c.tenant == tenant, *_alive(now_ms))
    return int((await connection.execute(query)).scalar_one())


async def count(connection: AsyncConnection, tenant: str) -> int:
    """How many keys a project ever had."""
    return int((await connection.execute(select(func.count()).where(keys.c.tenant == tenant))).scalar_one())


async def touch(connection: AsyncConnection, tenant: str, *, first: int) -> None:
    """Give each key of a project a revision of its own, the first one `first`: what they may use has changed."""
    await connection.execute(text(_TOUCH), {"first": first, "tenant": tenant})


async def page(
    connection: AsyncConnection, *, tenant: str, before: int | None, alive_at_ms: int | None, limit: int
) -> list[Listed]:
    """Keys, newest first; with `alive_at_ms` only those that are accepted then."""
    query = select(keys).order_by(keys.c.sequence.desc()).limit(limit)
    if tenant:
        query = query.where(keys.c.tenant == tenant)
    if before is not None:
        query = query.where(keys.c.sequence < before)
    if alive_at_ms is not None:
        query = query.where(*_alive(alive_at_ms))
    return [Listed(row.sequence, _key(row)) for row in await connection.execute(query)]


async def changes(connection: AsyncConnection, *, after: int, limit: int) -> list[Changed]:
    """What changed after a revision, oldest first."""
    query = (
        select(keys, projects.c.limits.label("tenant_limits"), projects.c.closed_ms)
        .outerjoin(projects, projects.c.name == keys.c.tenant)
        .where(keys.c.changed_at > after)
        .order_by(keys.c.changed_at)
        .limit(limit)
    )
    return [Changed(row.changed_at, _record(row)) for row in await connection.execute(query)]


def _alive(now_ms: int) -> tuple[Any, ...]:
    return (keys.c.revoked_ms == 0, or_(keys.c.expires_ms == 0, keys.c.expires_ms > now_ms))


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        role=Role(row.role),
        created_ms=row.created_ms,
        author=row.author,
        tenant=row.tenant or "",
        scopes=tuple(Permission(scope) for scope in row.scopes),
        models=tuple(row.models),
        limits=limits_of(row.limits),
        expires_ms=row.expires_ms,
        revoked_ms=row.revoked_ms,
        rotated_to=row.rotated_to,
        first_key=row.first_key,
        revision=row.revision,
    )


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        digest=row.digest,
        role=Role(row.role),
        tenant=row.tenant or "",
        scopes=tuple(Permission(scope) for scope in row.scopes),
        models=tuple(row.models),
        limits=limits_of(row.limits),
        tenant_limits=limits_of(row.tenant_limits) if row.tenant else Limits(),
        expires_ms=row.expires_ms,
        is_revoked=row.revoked_ms > 0 or bool(row.closed_ms),
        first_key=row.first_key,
    )
