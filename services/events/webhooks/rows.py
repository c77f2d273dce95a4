"""All SQL of webhooks themselves."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.webhooks import FindWebhooks, Webhook
from services.events.tables import webhooks


def webhook_of(row: Row[Any]) -> Webhook:
    """As it is shown."""
    return Webhook(
        id=row.id,
        url=row.url,
        created_ms=row.created_ms,
        author=row.author,
        tenant=row.tenant,
        types=tuple(row.types),
        description=row.description,
        is_disabled=row.is_disabled,
        disabled_reason=row.disabled_reason,
        rotated_until_ms=row.rotated_until_ms,
        revision=row.revision,
    )


async def add(connection: AsyncConnection, values: Mapping[str, Any]) -> Row[Any] | None:
    """Add one; None if there is one with its id."""
    statement = insert_or(webhooks).values(values).on_conflict_do_nothing().returning(webhooks)
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def find(connection: AsyncConnection, webhook: str, tenant: str, *, lock: bool = False) -> Row[Any] | None:
    """One that this tenant may see; with `lock`, nobody else changes it until the transaction ends."""
    query = select(webhooks).where(webhooks.c.id == webhook)
    if tenant:
        query = query.where(webhooks.c.tenant == tenant)
    row: Row[Any] | None = (await connection.execute(query.with_for_update() if lock else query)).first()
    return row


async def page(connection: AsyncConnection, asked: FindWebhooks, before: int | None) -> list[Row[Any]]:
    """Newest first, one more than asked for."""
    query = select(webhooks).order_by(webhooks.c.sequence.desc()).limit(asked.limit + 1)
    if asked.tenant:
        query = query.where(webhooks.c.tenant == asked.tenant)
    if before is not None:
        query = query.where(webhooks.c.sequence < before)
    return list(await connection.execute(query))


async def count(connection: AsyncConnection, tenant: str) -> int:
    """How many this tenant has."""
    query = select(func.count()).select_from(webhooks).where(webhooks.c.tenant == tenant)
    return int((await connection.execute(query)).scalar_one())


async def everybody(connection: AsyncConnection) -> list[Row[Any]]:
    """What is needed to tell who wants an event."""
    query = select(webhooks.c.id, webhooks.c.tenant, webhooks.c.types, webhooks.c.created_ms)
    return list(await connection.execute(query))


async def change(connection: AsyncConnection, webhook: str, values: Mapping[str, Any]) -> Row[Any]:
    """Set columns, and count the change."""
    statement = update(webhooks).where(webhooks.c.id == webhook)
    changed = statement.values({**values, "revision": webhooks.c.revision + 1}).returning(webhooks)
    row: Row[Any] = (await connection.execute(changed)).one()
    return row


async def remove(connection: AsyncConnection, webhook: str) -> None:
    """Forget it and its deliveries."""
    await connection.execute(delete(webhooks).where(webhooks.c.id == webhook))
