"""Says how versions are judged while that changes: whole rows, at a bounded rate and cost."""

import asyncio
from collections import Counter
from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import StatisticsQuery, StatisticsRow, StatisticsUpdated
from libs.kit import clock
from libs.kit.postgres import Database
from services.feedback.repository import telling
from services.feedback.repository.telling import Group
from services.feedback.service.statistics import Counting
from services.feedback.tables import OUTBOX

_SLACK_MS: Final = 30_000
"""A signal is in sight some time after the moment that it bears: a transaction may be slow."""
_REST: Final = 20
"""Counting takes at most one part in so many of the time, however many signals there are."""
_MAX_TAGS: Final = 100
"""Of one version, those with the most judgements: tags are the clients' own words."""


class Telling:
    """Several processes may run it; one at a time counts."""

    def __init__(self, database: Database, counting: Counting, wake: asyncio.Event) -> None:
        """Prepare; `wake` is set whenever there are events to send."""
        self._database = database
        self._counting = counting
        self._wake = wake
        self._not_before_s = 0.0

    async def tell(self) -> int:
        """Announce each row that is another than the one announced last; always 0, for once is enough.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        began_s = clock.monotonic_s()
        if began_s < self._not_before_s:
            return 0
        async with self._database.begin_bulk() as connection:
            until_ms = await telling.claim(connection)
            if until_ms is None or not await telling.is_news(connection, until_ms - _SLACK_MS):
                return 0
            now_ms = clock.unix_ms()
            rows = await self._rows()
            before = await telling.told(connection)
            said = {group: text for group, text in _texts(rows).items() if before.get(group) != text}
            events = [_event(rows[group], now_ms) for group in said]
            payloads = [msgspec.json.encode(event).decode() for event in events]
            ids = [event.id for event in events]
            await OUTBOX.add_all(connection, subjects.STATISTICS_UPDATED, ids, payloads, time_ms=now_ms)
            await telling.tell(connection, said, until_ms=now_ms)
        self._not_before_s = clock.monotonic_s() + _REST * (clock.monotonic_s() - began_s)
        if said:
            self._wake.set()
        return 0

    async def _rows(self) -> dict[Group, StatisticsRow]:
        whole = await self._counting.statistics(StatisticsQuery(by=("model_version",)))
        tagged = await self._counting.statistics(StatisticsQuery(by=("model_version", "tag")))
        rows = {(row.group["model_version"], ""): row for row in whole.rows if _judged(row)}
        tags: Counter[str] = Counter()
        for row in sorted(tagged.rows, key=_judged, reverse=True):
            version = row.group["model_version"]
            tags[version] += 1
            if tags[version] <= _MAX_TAGS:
                rows[version, row.group["tag"]] = row
        return rows


def _judged(row: StatisticsRow) -> int:
    return row.thumbs_up + row.thumbs_down + row.scores + row.comments + row.demonstrations + row.implicit


def _texts(rows: dict[Group, StatisticsRow]) -> dict[Group, str]:
    return {group: msgspec.json.encode(row).decode() for group, row in rows.items()}


def _event(row: StatisticsRow, now_ms: int) -> StatisticsUpdated:
    return StatisticsUpdated(id=clock.new_event_id(), time_ms=now_ms, row=row)
