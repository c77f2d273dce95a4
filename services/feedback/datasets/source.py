"""Reads judged interactions from PostgreSQL: one snapshot, a server-side cursor, a thousand rows at a time."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from libs.contracts.datasets import Selection, Shape
from libs.contracts.feedback import SignalKind, Source
from libs.kit.postgres import Database, unavailable
from libs.kit.signals import JUDGEMENT
from services.feedback.datasets.quarantine import bursts
from services.feedback.datasets.rows import JoinedRow, Judgement

BATCH: Final = 1_000
_WHERE: Final = """
from feedback.interactions i join feedback.contents c on c.request_id = i.request_id
where i.tenant = $1 and i.time_ms >= $2 and i.time_ms < $3 and i.erased_ms is null
and (cardinality($4::text[]) = 0 or i.model_version = any($4::text[]))
and ($5::boolean
    or exists (select 1 from feedback.signals s
        where s.tenant = i.tenant and s.request_id = i.request_id and s.request_id <> '')
    or (i.episode_id <> '' and exists (select 1 from feedback.signals s
        where s.tenant = i.tenant and s.episode_id = i.episode_id and s.episode_id <> '')))
"""
_ROWS: Final = f"""
select i.request_id, i.time_ms, i.model_version, i.episode_id, i.outcome, i.finish_reason,
    c.messages, c.answer, c.truncated
{_WHERE}
order by (case when i.episode_id = '' then i.request_id else i.episode_id end) collate "C",
    i.time_ms, i.request_id collate "C"
"""
_SIGNALS: Final = """
select id, kind, request_id, episode_id, value_bool, value_number, value_text, rater, source, weight, tags, time_ms,
    recorded_ms, supersedes, superseded_by
from feedback.signals where tenant = $1 and recorded_ms < $3 and
"""
_OF_INTERACTIONS: Final = _SIGNALS + "request_id = any($2::text[]) and request_id <> ''"
_OF_EPISODES: Final = _SIGNALS + "episode_id = any($2::text[]) and episode_id <> ''"
_BURSTS: Final = """
select rater, recorded_ms / 60000 as minute, count(*) as signals
from feedback.signals where tenant = $1 and recorded_ms < $2 and ($4::boolean or origin = $5)
group by 1, 2 having count(*) > $3
"""


class Snapshot:
    """One moment of the database, seen through one connection; its reads do not overlap."""

    def __init__(self, connection: Any, selection: Selection) -> None:
        self._connection, self._selection = connection, selection

    async def total(self) -> int:
        """How many rows `rows` will give."""
        return int(await self._connection.fetchval(f"select count(*) {_WHERE}", *self._arguments()))

    async def bursts(self) -> frozenset[tuple[str, int]]:
        """The raters' minutes with more signals than the quarantine allows."""
        chosen, rules = self._selection, self._selection.quarantine
        found = await self._connection.fetch(
            _BURSTS, chosen.tenant, chosen.until_ms, rules.max_burst_per_min, chosen.include_implicit, JUDGEMENT
        )
        return bursts(((row["rater"], row["minute"], row["signals"]) for row in found), rules)

    async def rows(self) -> AsyncIterator[list[JoinedRow]]:
        """The rows with their signals, ordered by episode, time and id, in lists of at most `BATCH`."""
        cursor = await self._connection.cursor(_ROWS, *self._arguments())
        while records := await cursor.fetch(BATCH):
            yield await self._joined(records)

    async def _joined(self, records: list[Any]) -> list[JoinedRow]:
        tenant, until_ms = self._selection.tenant, self._selection.until_ms
        ids = [record["request_id"] for record in records]
        episodes = sorted({record["episode_id"] for record in records} - {""})
        found = _by(await self._connection.fetch(_OF_INTERACTIONS, tenant, ids, until_ms), "request_id")
        of_episodes: dict[str, list[Judgement]] = {}
        if episodes:
            of_episodes = _by(await self._connection.fetch(_OF_EPISODES, tenant, episodes, until_ms), "episode_id")
        return [
            JoinedRow(
                request_id=record["request_id"],
                tenant=tenant,
                time_ms=record["time_ms"],
                model_version=record["model_version"],
                episode_id=record["episode_id"],
                outcome=record["outcome"],
                messages=_decoded(record["messages"], ""),
                answer=_decoded(record["answer"], None),
                truncated=record["truncated"] or record["finish_reason"] == "length",
                signals=(*found.get(record["request_id"], ()), *of_episodes.get(record["episode_id"], ())),
            )
            for record in records
        ]

    def _arguments(self) -> tuple[Any, ...]:
        chosen = self._selection
        wants_all = chosen.shape is Shape.RAW
        return chosen.tenant, chosen.since_ms, chosen.until_ms, list(chosen.model_versions), wants_all


@asynccontextmanager
async def snapshot(database: Database, selection: Selection) -> AsyncIterator[Snapshot]:
    """What the database holds now, however long reading takes and whatever is written meanwhile.

    Raises:
        ServiceError: `storage_unavailable`.
    """
    with unavailable():
        async with database.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            async with raw.transaction(isolation="repeatable_read", readonly=True):
                # The order by episode sorts; on disk beyond this.
                await raw.execute("set local work_mem = '64MB'")
                yield Snapshot(raw, selection)


def _by(records: Iterable[Any], column: str) -> dict[str, list[Judgement]]:
    found: defaultdict[str, list[Judgement]] = defaultdict(list)
    for record in records:
        found[record[column]].append(_judgement(record))
    return found


def _judgement(record: Any) -> Judgement:
    values = (record["value_bool"], record["value_number"], record["value_text"])
    return Judgement(
        id=record["id"],
        kind=SignalKind(record["kind"]),
        value=next((value for value in values if value is not None), ""),
        time_ms=record["time_ms"],
        recorded_ms=record["recorded_ms"],
        rater=record["rater"],
        source=Source(record["source"]),
        weight=record["weight"],
        tags=tuple(record["tags"]),
        supersedes=record["supersedes"],
        superseded_by=record["superseded_by"],
        of_episode=not record["request_id"],
    )


def _decoded(text: str, otherwise: Any) -> Any:
    """The JSON value; what cannot be read gives `otherwise`, which a later step puts aside."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        pass
    try:
        # The standard reader takes lone surrogates, which a later step replaces.
        return json.loads(text)
    except ValueError:
        return otherwise
