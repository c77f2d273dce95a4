"""Writes down what was observed and said, each thing once however often it comes, and removes what is too old."""

from typing import Any, Final

from libs.contracts.feedback import Signal
from libs.contracts.rollouts import RequestObserved

Connection = Any
"""An `asyncpg.Connection` inside a transaction."""

_BATCH: Final = 2_000
_OUTCOME: Final = """
insert into rollout.outcomes (rollout, request_id, step, sticky, candidate, mirror, stream, outcome, fault,
    first_token_ms, total_ms, completion_tokens, agreement, time_ms)
select id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 from rollout.rollouts where id = $1
on conflict do nothing
"""
_THUMB: Final = """
insert into rollout.thumbs (signal_id, request_id, rater, up, tags, time_ms, heard_ms)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
"""
_OLD_OUTCOMES: Final = """
delete from rollout.outcomes where (rollout, request_id) in (
    select rollout, request_id from rollout.outcomes
    where rollout in (
        select id from rollout.rollouts where state in ('promoted', 'aborted', 'rolled_back') and changed_ms < $1)
    limit $2 for update skip locked)
"""
_OLD_THRESHOLDS: Final = """
delete from rollout.thresholds where rollout in (
    select id from rollout.rollouts where state in ('promoted', 'aborted', 'rolled_back') and changed_ms < $1)
"""
_OLD_THUMBS: Final = """
delete from rollout.thumbs where signal_id in (
    select signal_id from rollout.thumbs
    where heard_ms < least($1, (
        select min(created_ms) from rollout.rollouts where state not in ('promoted', 'aborted', 'rolled_back')))
    order by heard_ms limit $2 for update skip locked)
"""


async def put_outcomes(connection: Connection, observed: list[RequestObserved]) -> None:
    """Write down how requests ended; of a rollout that nobody knows, nothing."""
    # In one order in every process, so that two batches cannot wait for each other.
    rows = sorted((_outcome(one) for one in observed), key=lambda row: row[:2])
    await connection.executemany(_OUTCOME, rows)


async def put_thumbs(connection: Connection, signals: list[Signal], heard_ms: int) -> None:
    """Write down thumbs."""
    rows = sorted(
        (one.id, one.request_id, one.rater, bool(one.value), sorted(set(one.tags) - {""}), one.time_ms, heard_ms)
        for one in signals
    )
    await connection.executemany(_THUMB, rows)


async def remove(connection: Connection, before_ms: int) -> int:
    """Remove some of what is older and of no running rollout; how many rows. Until it is none, there may be more."""
    removed = 0
    for query in (_OLD_OUTCOMES, _OLD_THUMBS):
        removed += _rows(await connection.execute(query, before_ms, _BATCH))
    return removed + _rows(await connection.execute(_OLD_THRESHOLDS, before_ms))


def _outcome(one: RequestObserved) -> tuple[Any, ...]:
    return (
        one.rollout,
        one.request_id,
        one.step,
        one.sticky or one.request_id,
        one.arm == "candidate",
        one.mirror,
        one.stream,
        one.outcome,
        one.fault,
        one.first_token_ms,
        one.total_ms,
        one.completion_tokens,
        one.agreement,
        one.time_ms,
    )


def _rows(done: str) -> int:
    return int(done.rpartition(" ")[2])
