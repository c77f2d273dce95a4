"""From data sets to the judgements behind them, and back."""

from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.datasets import DatasetJob, Selection
from libs.contracts.feedback import Signal
from libs.kit.signals import JUDGEMENT
from services.feedback.datasets.jobs import job_of
from services.feedback.repository.bulk import Connection
from services.feedback.repository.signals import from_row
from services.feedback.tables import dataset_jobs

_HELD: Final = """
with members as materialized (
    select i.request_id, i.tenant, i.episode_id
    from feedback.dataset_rows d join feedback.interactions i on i.request_id = d.request_id where d.dataset = $1
), about as materialized (
    select s.* from members m join feedback.signals s on s.tenant = m.tenant and s.request_id = m.request_id
    where s.request_id <> '' and s.recorded_ms < $2
    union all
    select s.* from (select distinct tenant, episode_id from members where episode_id <> '') m
    join feedback.signals s on s.tenant = m.tenant and s.episode_id = m.episode_id
    where s.episode_id <> '' and s.recorded_ms < $2
), held as materialized (
    select * from about
    where superseded_by = '' and id not in (select supersedes from about where supersedes <> '')
        and ($3::boolean or origin = $4) and (cardinality($5::text[]) = 0 or rater = any($5::text[]))
)
"""
"""As `services.feedback.datasets.select` has it: recorded before the end, not superseded by then, let to decide."""
_COUNT: Final = f"{_HELD} select count(*) from held"  # noqa: S608 - both halves are written here
_OLDEST: Final = f"{_HELD} select * from held order by recorded_ms, id limit $6"  # noqa: S608 - as above
_ROWS: Final = "select count(*) from feedback.dataset_rows where dataset = $1"
_SIGNAL: Final = "select * from feedback.signals where id = $1 limit 1"
_EPISODE: Final = """
select request_id from feedback.interactions where tenant = $1 and episode_id = $2 and episode_id <> ''
"""
_DATASETS: Final = """
select d.dataset, min(j.sequence) as place, (array_agg(j.selection order by j.sequence))[1] as selection
from (select distinct dataset from feedback.dataset_rows where request_id = any($1::text[])) d
join feedback.dataset_jobs j on j.reference = d.dataset and j.state = 'succeeded'
group by d.dataset order by place
"""
_LATER: Final = """
select min(recorded_ms) from feedback.signals
where tenant = $1 and supersedes = $2
    and ((request_id = $3 and request_id <> '') or (episode_id = $4 and episode_id <> ''))
"""


async def build_of(connection: AsyncConnection, reference: str) -> DatasetJob | None:
    """The first build that published a version."""
    query = (
        select(dataset_jobs)
        .where(dataset_jobs.c.reference == reference, dataset_jobs.c.state == "succeeded")
        .order_by(dataset_jobs.c.sequence)
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else job_of(row)


async def count_rows(connection: Connection, reference: str) -> int:
    """How many interactions a published version contains."""
    return int(await connection.fetchval(_ROWS, reference))


async def behind(
    connection: Connection, reference: str, selection: Selection, limit: int
) -> tuple[int, tuple[Signal, ...]]:
    """How many judgements decided what a version contains, and the oldest of them."""
    asked = (reference, selection.until_ms, selection.include_implicit, JUDGEMENT, list(selection.raters))
    count = int(await connection.fetchval(_COUNT, *asked))
    return count, tuple(from_row(row) for row in await connection.fetch(_OLDEST, *asked, limit))


async def signal(connection: Connection, signal_id: str) -> tuple[Signal, str] | None:
    """One judgement, and its origin."""
    row = await connection.fetchrow(_SIGNAL, signal_id)
    return None if row is None else (from_row(row), row["origin"])


async def about(connection: Connection, one: Signal) -> list[str]:
    """Request ids of what a judgement is about."""
    if one.request_id:
        return [one.request_id]
    return [row["request_id"] for row in await connection.fetch(_EPISODE, one.tenant, one.episode_id)]


async def superseded_ms(connection: Connection, one: Signal) -> int | None:
    """When the judgement that supersedes this one was recorded; None if there is none."""
    found: Any = await connection.fetchval(_LATER, one.tenant, one.id, one.request_id, one.episode_id)
    return found if found is None else int(found)


async def containing(connection: Connection, ids: list[str]) -> list[tuple[str, Selection]]:
    """Published versions that contain any of these interactions, in the order in which they were built."""
    rows = await connection.fetch(_DATASETS, ids)
    return [(row["dataset"], msgspec.json.decode(row["selection"], type=Selection)) for row in rows]
