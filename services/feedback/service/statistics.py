"""How versions are judged."""

from typing import Any

from sqlalchemy import Row

from libs.contracts.feedback import Statistics, StatisticsQuery, StatisticsRow
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.feedback.domain import wilson
from services.feedback.repository import statistics


class Counting:
    """Counts; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def statistics(self, wanted: StatisticsQuery) -> Statistics:
        """Counts in each group. Signals count at the time they were given, interactions at the time they ended.

        By tag, `interactions` are those that were judged with the tag: nothing else ties the two.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        if len(set(wanted.by)) != len(wanted.by):
            raise ServiceError("invalid_value", "`by` names a group twice.", param="by")
        by_tag = "tag" in wanted.by
        async with self._database.begin() as connection:
            rows = {tuple(row)[: len(wanted.by)]: row for row in await statistics.signals_by(connection, wanted)}
            counts = {} if by_tag else await statistics.interactions_by(connection, wanted)
        groups = sorted(rows.keys() | counts.keys())
        return Statistics(
            tuple(
                _row(
                    dict(zip(wanted.by, group, strict=True)),
                    rows.get(group),
                    rows[group].judged if by_tag else counts.get(group, 0),
                )
                for group in groups
            )
        )


def _row(group: dict[str, str], row: Row[Any] | None, interactions: int) -> StatisticsRow:
    if row is None:
        return StatisticsRow(group=group, interactions=interactions)
    thumbs = row.thumbs_up + row.thumbs_down
    low, high = wilson.interval(row.thumbs_up, thumbs) or (None, None)
    return StatisticsRow(
        group=group,
        interactions=interactions,
        thumbs_up=row.thumbs_up,
        thumbs_down=row.thumbs_down,
        scores=row.scores,
        score_mean=row.score_mean,
        comments=row.comments,
        demonstrations=row.demonstrations,
        implicit=row.implicit,
        approval=row.thumbs_up / thumbs if thumbs else None,
        approval_low=low,
        approval_high=high,
    )
