"""Jobs: ordered, claimed under an epoch, changed by whoever holds it, and looked at."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.evaluation import EvaluationPlan, Verdict
from libs.contracts.training import (
    ENDED,
    FindJobs,
    Job,
    JobChanged,
    JobKind,
    JobProgress,
    JobState,
    TrainingPlan,
)
from libs.kit import clock
from libs.kit.outbox.causes import Causes
from services.trainer.domain.machine import HELD, LostError, Standing, step
from services.trainer.tables import OUTBOX, jobs

CAUSES: Final = Causes()
"""The traces of the jobs that this process was told to queue."""
_CLAIM: Final = """
update trainer.jobs set state = 'claimed', epoch = epoch + 1, trainer = :trainer, changed_ms = :now_ms,
    lease_until = clock_timestamp() + make_interval(secs => :lease_s), not_before = null, error_code = '', error = ''
where id = (
    select id from trainer.jobs
    where state = 'queued' and (not_before is null or not_before <= clock_timestamp())
    -- What belongs to a job that has begun comes before what has not.
    order by (parent = ''), sequence limit 1 for update skip locked
)
returning *
"""
_RENEW: Final = """
update trainer.jobs set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where id = :id and epoch = :epoch and lease_until is not null
returning id
"""
_EXPIRED: Final = """
update trainer.jobs set state = 'queued', trainer = '', lease_until = null, changed_ms = :now_ms
where lease_until < clock_timestamp()
returning *
"""
_JSON: Final = ("progress", "verdict", "metrics")


def later(delay_s: float) -> Any:
    """A time on the database's clock, as a value to be written."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, delay_s)


async def add(connection: AsyncConnection, job: Job) -> Row[Any]:
    """Queue a job and announce it; the row that has its id already, if there is one."""
    plan = job.training if job.kind is JobKind.TRAINING else job.evaluation
    statement = (
        insert(jobs)
        .values(
            id=job.id,
            kind=job.kind.value,
            state=job.state.value,
            plan=msgspec.json.encode(plan).decode(),
            author=job.author,
            parent=job.parent,
            created_ms=job.created_ms,
            changed_ms=job.changed_ms,
            tenant=job.tenant,
        )
        .on_conflict_do_nothing()
        .returning(jobs)
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    if row is not None:
        CAUSES.note(job.id)
        await _announce(connection, row)
        return row
    known: Row[Any] = (await connection.execute(select(jobs).where(jobs.c.id == job.id))).one()
    return known


async def find(connection: AsyncConnection, job_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One job; with `lock`, nobody else changes it or its parent until the transaction ends."""
    query = select(jobs).where(jobs.c.id == job_id)
    row = (await connection.execute(query)).first()
    if row is None or not lock:
        return row
    if row.parent:
        # Always the parent first, so that two transactions cannot wait for each other.
        await connection.execute(select(jobs.c.id).where(jobs.c.id == row.parent).with_for_update())
    return (await connection.execute(query.with_for_update())).first()


async def children(connection: AsyncConnection, parent: str) -> list[Row[Any]]:
    """Evaluations that belong to a training and have not ended, locked."""
    ended = [state.value for state in ENDED]
    query = select(jobs).where(jobs.c.parent == parent, jobs.c.state.not_in(ended)).with_for_update()
    return list(await connection.execute(query))


async def page(connection: AsyncConnection, wanted: FindJobs, before: int | None) -> list[Row[Any]]:
    """Newest first, one more than asked for."""
    query = select(jobs).order_by(jobs.c.sequence.desc()).limit(wanted.limit + 1)
    if wanted.tenant:
        query = query.where(jobs.c.tenant == wanted.tenant)
    if wanted.state is not None:
        query = query.where(jobs.c.state == wanted.state.value)
    if wanted.kind is not None:
        query = query.where(jobs.c.kind == wanted.kind.value)
    if before is not None:
        query = query.where(jobs.c.sequence < before)
    return list(await connection.execute(query))


async def littered(connection: AsyncConnection, limit: int) -> list[Row[Any]]:
    """Jobs that have ended and left something in the registry."""
    ended = [state.value for state in ENDED]
    query = select(jobs).where(jobs.c.littered, jobs.c.state.in_(ended)).order_by(jobs.c.sequence).limit(limit)
    return list(await connection.execute(query))


async def claim(connection: AsyncConnection, trainer: str, lease_s: float) -> Row[Any] | None:
    """Take the next job under a fresh epoch; None if nothing waits."""
    values = {"trainer": trainer, "lease_s": lease_s, "now_ms": clock.unix_ms()}
    row: Row[Any] | None = (await connection.execute(text(_CLAIM), values)).first()
    if row is not None:
        await _announce(connection, row)
    return row


async def renew(connection: AsyncConnection, job_id: str, epoch: int, lease_s: float) -> bool:
    """Keep a job for another lease; False if it is not held under `epoch` any more."""
    found = await connection.execute(text(_RENEW), {"id": job_id, "epoch": epoch, "lease_s": lease_s})
    return found.first() is not None


async def requeue_expired(connection: AsyncConnection) -> int:
    """Put back what trainers hold whose lease has ended; how many."""
    rows = (await connection.execute(text(_EXPIRED), {"now_ms": clock.unix_ms()})).all()
    for row in rows:
        await _announce(connection, row)
    return len(rows)


async def move(connection: AsyncConnection, job_id: str, epoch: int, to: JobState, **values: Any) -> Row[Any]:
    """Bring a job that is held under `epoch` into a state, announce it, and note `values`; repeating it does no harm.

    Raises:
        LostError: it is not held under this epoch any more, or cannot come into that state.
    """
    row = await find(connection, job_id, lock=True)
    if row is None:
        raise LostError("it is gone")
    if not step(Standing(JobState(row.state), row.epoch), epoch, to):
        return row
    return await put(connection, job_id, to, **values)


async def put(connection: AsyncConnection, job_id: str, to: JobState, **values: Any) -> Row[Any]:
    """The same for a row that this transaction has locked and judged."""
    if to not in HELD:
        values |= {"trainer": "", "lease_until": None}
    values |= {"state": to.value, "changed_ms": clock.unix_ms()}
    statement = update(jobs).where(jobs.c.id == job_id).values(**_encoded(values)).returning(jobs)
    row: Row[Any] = (await connection.execute(statement)).one()
    await _announce(connection, row)
    return row


async def note(connection: AsyncConnection, job_id: str, epoch: int, **values: Any) -> None:
    """Write beside the state of a job, as long as no later epoch has begun and it has not ended.

    Raises:
        LostError: it is so.
    """
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.epoch == epoch, jobs.c.state.not_in([state.value for state in ENDED]))
        .values(**_encoded(values))
    )
    if not (await connection.execute(statement)).rowcount:
        raise LostError("another epoch has begun, or it has ended")


async def tidied(connection: AsyncConnection, job_id: str) -> None:
    """Nothing of it is left in the registry."""
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(littered=False))


def job_of(row: Row[Any]) -> Job:
    """The job as it is shown."""
    kind = JobKind(row.kind)
    return Job(
        id=row.id,
        kind=kind,
        state=JobState(row.state),
        author=row.author,
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        training=msgspec.json.decode(row.plan, type=TrainingPlan) if kind is JobKind.TRAINING else None,
        evaluation=msgspec.json.decode(row.plan, type=EvaluationPlan) if kind is JobKind.EVALUATION else None,
        parent=row.parent,
        epoch=row.epoch,
        trainer=row.trainer,
        progress=msgspec.json.decode(row.progress, type=JobProgress),
        method=row.method,
        version=row.version,
        report=row.report,
        verdict=msgspec.json.decode(row.verdict, type=Verdict) if row.verdict else None,
        metrics=msgspec.json.decode(row.metrics, type=dict[str, float]),
        error_code=row.error_code,
        error=row.error,
        tenant=row.tenant,
    )


async def _announce(connection: AsyncConnection, row: Row[Any]) -> None:
    event = JobChanged(id=clock.new_event_id(), time_ms=row.changed_ms, job=job_of(row))
    await OUTBOX.add(connection, event)


def _encoded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.json.encode(value).decode() if name in _JSON and value is not None else value
        for name, value in values.items()
    }
