"""Counting signals that stand, in groups."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal_column, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.feedback import SignalKind, StatisticsQuery
from libs.kit.signals import JUDGEMENT
from services.feedback.tables import interactions, signals, standing

_DAY_MS: Final = 86_400_000


async def interactions_by(connection: AsyncConnection, wanted: StatisticsQuery) -> dict[tuple[str, ...], int]:
    """How many interactions there are in each group; not for tags, which interactions do not have."""
    names = {
        "model_version": interactions.c.model_version,
        "tenant": interactions.c.tenant,
        "day": _day(interactions.c.time_ms),
    }
    groups = [names[name].label(f"g{i}") for i, name in enumerate(wanted.by)]
    query = _within(select(*groups, func.count()), interactions.c, wanted)
    rows = await connection.execute(query.group_by(*(literal_column(f"g{i}") for i in range(len(groups)))))
    return {tuple(row)[:-1]: row[-1] for row in rows}


async def signals_by(connection: AsyncConnection, wanted: StatisticsQuery) -> list[Row[Any]]:
    """Counts of signals in each group: its names first, then the counts by name."""
    tags = func.unnest(signals.c.tags).table_valued("tag").render_derived(name="tags")
    names = {
        "model_version": signals.c.model_version,
        "tenant": signals.c.tenant,
        "day": _day(signals.c.time_ms),
        "tag": tags.c.tag,
    }
    groups = [names[name].label(f"g{i}") for i, name in enumerate(wanted.by)]
    origin = signals.c
    stands = and_(
        standing.c.tenant == origin.tenant,
        standing.c.target == case((origin.request_id != "", "i:" + origin.request_id), else_="e:" + origin.episode_id),
        standing.c.kind == origin.kind,
        standing.c.origin == origin.origin,
        standing.c.rater == origin.rater,
        standing.c.signal_id == origin.id,
    )
    source = signals.join(standing, stands)
    if "tag" in wanted.by:
        source = source.join(tags, true())
    query = select(*groups, *_counts()).select_from(source)
    query = _within(query, signals.c, wanted)
    return list(await connection.execute(query.group_by(*(literal_column(f"g{i}") for i in range(len(groups))))))


def _counts() -> list[ColumnElement[Any]]:
    columns = signals.c
    said = columns.origin == JUDGEMENT

    def count(kind: SignalKind, *more: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(said, columns.kind == kind.value, *more)

    scored = and_(said, columns.kind == SignalKind.SCORE.value)
    return [
        func.count(columns.request_id.distinct()).filter(columns.request_id != "").label("judged"),
        count(SignalKind.THUMB, columns.value_bool.is_(True)).label("thumbs_up"),
        count(SignalKind.THUMB, columns.value_bool.is_(False)).label("thumbs_down"),
        count(SignalKind.SCORE).label("scores"),
        func.avg(columns.value_number).filter(scored).label("score_mean"),
        count(SignalKind.COMMENT).label("comments"),
        count(SignalKind.DEMONSTRATION).label("demonstrations"),
        func.count().filter(columns.origin != JUDGEMENT).label("implicit"),
    ]


def _within(query: Select[Any], columns: Any, wanted: StatisticsQuery) -> Select[Any]:
    if wanted.tenant:
        query = query.where(columns.tenant == wanted.tenant)
    if wanted.model_version:
        query = query.where(columns.model_version == wanted.model_version)
    if wanted.since_ms:
        query = query.where(columns.time_ms >= wanted.since_ms)
    if wanted.until_ms:
        query = query.where(columns.time_ms < wanted.until_ms)
    return query


def _day(time_ms: ColumnElement[int]) -> ColumnElement[str]:
    moment = func.timezone("UTC", func.to_timestamp(time_ms / 1_000.0))
    return func.to_char(moment, "YYYY-MM-DD")
