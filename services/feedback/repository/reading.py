"""Looking things up: interactions with their signals, dead letters."""

from collections import defaultdict
from typing import Any, Final

from sqlalchemy import Row, Select, and_, exists, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.feedback import ListInteractions, Signal
from services.feedback.repository.signals import from_row
from services.feedback.tables import contents, dead_letters, interactions, signals

_WITH_CONTENT: Final = select(interactions, contents.c.messages, contents.c.answer).outerjoin(
    contents, and_(contents.c.request_id == interactions.c.request_id, contents.c.tenant == interactions.c.tenant)
)


async def newest(
    connection: AsyncConnection, wanted: ListInteractions, before: tuple[int, str] | None
) -> list[Row[Any]]:
    """Interactions with their contents, newest first, from `before` (time and request id) backwards."""
    query = _filtered(_WITH_CONTENT, wanted)
    if before is not None:
        query = query.where(tuple_(interactions.c.time_ms, interactions.c.request_id) < before)
    query = query.order_by(interactions.c.time_ms.desc(), interactions.c.request_id.desc()).limit(wanted.limit)
    return list(await connection.execute(query))


async def one(connection: AsyncConnection, tenant: str, request_id: str) -> Row[Any] | None:
    """One interaction with its contents; of any tenant if `tenant` is empty."""
    query = _WITH_CONTENT.where(interactions.c.request_id == request_id)
    if tenant:
        query = query.where(interactions.c.tenant == tenant)
    return (await connection.execute(query)).one_or_none()


async def signals_of(connection: AsyncConnection, ids: list[tuple[str, str]]) -> dict[tuple[str, str], list[Signal]]:
    """Every signal on these interactions (tenant and request id), oldest first."""
    found: dict[tuple[str, str], list[Signal]] = defaultdict(list)
    if not ids:
        return found
    query = (
        select(signals)
        .where(tuple_(signals.c.tenant, signals.c.request_id).in_(ids), signals.c.request_id != "")
        .order_by(signals.c.recorded_ms, signals.c.id)
    )
    for row in (await connection.execute(query)).mappings():
        found[row["tenant"], row["request_id"]].append(from_row(row))
    return found


async def letters(connection: AsyncConnection, before: tuple[int, str] | None, limit: int) -> list[Row[Any]]:
    """Dead letters, newest first, from `before` (time and id) backwards."""
    query = select(dead_letters).order_by(dead_letters.c.time_ms.desc(), dead_letters.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(dead_letters.c.time_ms, dead_letters.c.id) < before)
    return list(await connection.execute(query))


def _filtered(query: Select[Any], wanted: ListInteractions) -> Select[Any]:
    columns = interactions.c
    if wanted.tenant:
        query = query.where(columns.tenant == wanted.tenant)
    if wanted.model_version:
        query = query.where(columns.model_version == wanted.model_version)
    if wanted.since_ms:
        query = query.where(columns.time_ms >= wanted.since_ms)
    if wanted.until_ms:
        query = query.where(columns.time_ms < wanted.until_ms)
    if wanted.judged:
        on_it = and_(signals.c.request_id == columns.request_id, signals.c.request_id != "")
        on_episode = and_(signals.c.episode_id == columns.episode_id, signals.c.episode_id != "")
        query = query.where(exists().where(signals.c.tenant == columns.tenant, or_(on_it, on_episode)))
    return query
