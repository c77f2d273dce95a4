"""All SQL about builds of data sets."""

from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, cast, delete, exists, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts import subjects
from libs.contracts.datasets import DatasetBuilt, DatasetJob, Selection
from libs.kit.outbox.causes import Causes
from services.feedback.repository import erasures
from services.feedback.tables import OUTBOX, dataset_rows
from services.feedback.tables import dataset_jobs as jobs

CAUSES: Final = Causes()
"""The traces of the builds that were ordered from this process."""
UNFINISHED: Final = ("queued", "running", "publishing")
LEADER_KEY: Final = 0x6C6C_6E05
"""Advisory lock of the one process that builds."""
_BATCH: Final = 10_000
_ERASED: Final = """
select 1 from feedback.dataset_rows d join feedback.interactions i on i.request_id = d.request_id
where d.dataset = :dataset and i.erased_ms is not null limit 1
"""


class Claimed(NamedTuple):
    """A build that was begun, and how."""

    job: DatasetJob
    dry_run: bool
    """Whether it is not to be published."""
    tenant: str
    """Who ordered it; empty: the platform."""


async def add(connection: AsyncConnection, job: DatasetJob, *, dry_run: bool, tenant: str) -> DatasetJob:
    """Order a build; the one that has its id already, if there is one."""
    values = {
        "id": job.id,
        "state": job.state,
        "selection": msgspec.json.encode(job.selection).decode(),
        "author": job.author,
        "dry_run": dry_run,
        "tenant": tenant,
        "created_ms": job.created_ms,
    }
    statement = insert(jobs).values(values).on_conflict_do_nothing(index_elements=["id"])
    if (await connection.execute(statement)).rowcount:
        CAUSES.note(job.id)
        return job
    return job_of((await connection.execute(select(jobs).where(jobs.c.id == job.id))).one())


async def find(connection: AsyncConnection, job_id: str) -> DatasetJob | None:
    """One build."""
    row = (await connection.execute(select(jobs).where(jobs.c.id == job_id))).first()
    return None if row is None else job_of(row)


async def newest(connection: AsyncConnection, limit: int, tenant: str) -> tuple[DatasetJob, ...]:
    """The last builds that were ordered of what `tenant` (empty: anybody) has, newest first."""
    query = select(jobs).order_by(jobs.c.sequence.desc()).limit(limit)
    if tenant:
        query = query.where(cast(jobs.c.selection, JSONB)["tenant"].astext == tenant)
    return tuple(job_of(row) for row in await connection.execute(query))


async def claim(connection: AsyncConnection) -> Claimed | None:
    """Begin the oldest unfinished build, from its beginning."""
    oldest = select(jobs.c.id).where(jobs.c.state.in_(UNFINISHED)).order_by(jobs.c.sequence).limit(1)
    statement = (
        update(jobs)
        .where(jobs.c.id == oldest.scalar_subquery(), jobs.c.state.in_(UNFINISHED))
        .values(state="running", rows_read=0, rows_total=0, counts="{}")
        .returning(jobs)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Claimed(job_of(row), bool(row.dry_run), row.tenant)


async def change(connection: AsyncConnection, job_id: str, *, only: tuple[str, ...], **values: Any) -> bool:
    """Note `values` if the build is in one of the states `only`; whether it was."""
    if "counts" in values:
        values["counts"] = msgspec.json.encode(values["counts"]).decode()
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(only)).values(**values)
    return bool((await connection.execute(statement)).rowcount)


async def record_rows(connection: AsyncConnection, reference: str, row_ids: Path) -> bool:
    """Note which interactions a version contains; False if one of them has been erased meanwhile.

    No erasure can happen between this and the end of the transaction; a later one will find these rows.
    """
    await connection.execute(text("create temporary table row_ids (request_id text) on commit drop"))
    raw: Any = (await connection.get_raw_connection()).driver_connection
    await erasures.hold_off(raw)
    with row_ids.open(encoding="utf-8") as file:
        ids = ((line.rstrip("\n"),) for line in file)
        while batch := list(islice(ids, _BATCH)):
            await raw.copy_records_to_table("row_ids", records=batch, columns=("request_id",))
    await connection.execute(
        text(
            "insert into feedback.dataset_rows (dataset, request_id)"
            " select :dataset, request_id from row_ids on conflict do nothing"
        ),
        {"dataset": reference},
    )
    return (await connection.execute(text(_ERASED), {"dataset": reference})).first() is None


async def forget_rows(connection: AsyncConnection, reference: str) -> None:
    """The version was not published after all; unless another build has published the same."""
    published = exists().where(jobs.c.reference == reference, jobs.c.state == "succeeded")
    await connection.execute(delete(dataset_rows).where(dataset_rows.c.dataset == reference, ~published))


async def announce(connection: AsyncConnection, event: DatasetBuilt) -> None:
    """Send `event` if, and only if, this transaction is committed."""
    await OUTBOX.add(connection, subjects.DATASET_BUILT, event)


def job_of(row: Row[Any]) -> DatasetJob:
    """The job as it is shown."""
    return DatasetJob(
        id=row.id,
        state=row.state,
        selection=msgspec.json.decode(row.selection, type=Selection),
        author=row.author,
        created_ms=row.created_ms,
        rows_read=row.rows_read,
        rows_total=row.rows_total,
        counts=msgspec.json.decode(row.counts, type=dict[str, int]),
        reference=row.reference,
        digest=row.digest,
        error=row.error,
    )
