"""Rollouts: ordered, moved from state to state, and looked at."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import (
    ROLLOUT_ENDED,
    Decision,
    FindRollouts,
    Rollout,
    RolloutChange,
    RolloutChanged,
    RolloutPlan,
    RolloutState,
)
from libs.contracts.versions import short_reference
from libs.kit import clock
from services.rollout.tables import OUTBOX, changes, rollouts

_ENDED: Final = tuple(state.value for state in ROLLOUT_ENDED)


async def add(connection: AsyncConnection, values: dict[str, Any]) -> Row[Any] | None:
    """Begin a rollout and announce it; None if there is one with its id, or one that runs on its name."""
    statement = insert_or(rollouts).values(values).on_conflict_do_nothing().returning(rollouts)
    row: Row[Any] | None = (await connection.execute(statement)).first()
    if row is not None:
        await _note(connection, row, row.author)
    return row


async def find(connection: AsyncConnection, rollout_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One rollout; with `lock`, nobody else changes it until the transaction ends."""
    query = select(rollouts).where(rollouts.c.id == rollout_id)
    return (await connection.execute(query.with_for_update() if lock else query)).first()


async def running_on(connection: AsyncConnection, name: str) -> Row[Any] | None:
    """The rollout on a name that has not ended."""
    query = select(rollouts).where(rollouts.c.name == name, rollouts.c.state.not_in(_ENDED))
    return (await connection.execute(query)).first()


async def unsettled(connection: AsyncConnection) -> list[Row[Any]]:
    """Rollouts that have not ended, or have left something to tidy up; oldest first."""
    # One that is taken back long after its end is settled, and runs.
    query = select(rollouts).where(~rollouts.c.settled | rollouts.c.state.not_in(_ENDED)).order_by(rollouts.c.sequence)
    return list(await connection.execute(query))


async def page(connection: AsyncConnection, wanted: FindRollouts, before: int | None) -> list[Row[Any]]:
    """Newest first, one more than asked for."""
    query = select(rollouts).order_by(rollouts.c.sequence.desc()).limit(wanted.limit + 1)
    if wanted.tenant:
        query = query.where(rollouts.c.tenant == wanted.tenant)
    if wanted.name:
        query = query.where(rollouts.c.name == wanted.name)
    if wanted.state is not None:
        query = query.where(rollouts.c.state == wanted.state.value)
    if before is not None:
        query = query.where(rollouts.c.sequence < before)
    return list(await connection.execute(query))


async def history(connection: AsyncConnection, rollout_id: str) -> tuple[RolloutChange, ...]:
    """Every change, oldest first."""
    rows = await connection.execute(select(changes).where(changes.c.rollout == rollout_id).order_by(changes.c.number))
    return tuple(
        RolloutChange(
            time_ms=row.time_ms,
            state=RolloutState(row.state),
            step=row.step,
            author=row.author,
            reason=row.reason,
            decision=_decision(row.decision),
        )
        for row in rows
    )


async def put(
    connection: AsyncConnection,
    row: Row[Any],
    to: RolloutState,
    *,
    author: str = "",
    reason: str = "",
    decision: Decision | None = None,
    **values: Any,
) -> Row[Any]:
    """Bring a rollout that this transaction has locked into a state or step, note it, and announce it."""
    now_ms = max(clock.unix_ms(), row.changed_ms)
    values |= {"state": to.value, "changed_ms": now_ms, "reason": reason}
    if decision is not None:
        values["decision"] = msgspec.json.encode(decision).decode()
    statement = update(rollouts).where(rollouts.c.id == row.id).values(values).returning(rollouts)
    changed: Row[Any] = (await connection.execute(statement)).one()
    await _note(connection, changed, author, has_decision=decision is not None)
    return changed


async def settled(connection: AsyncConnection, rollout_id: str) -> None:
    """Nothing of it is left in the registry."""
    await connection.execute(update(rollouts).where(rollouts.c.id == rollout_id).values(settled=True))


async def _note(connection: AsyncConnection, row: Row[Any], author: str, *, has_decision: bool = False) -> None:
    await connection.execute(
        insert(changes).values(
            rollout=row.id,
            time_ms=row.changed_ms,
            state=row.state,
            step=row.step,
            author=author,
            reason=row.reason,
            decision=row.decision if has_decision else None,
        )
    )
    event = RolloutChanged(id=clock.new_event_id(), time_ms=row.changed_ms, rollout=rollout_of(row))
    await OUTBOX.add(connection, event)


def plan_of(row: Row[Any]) -> RolloutPlan:
    """What was ordered."""
    return msgspec.json.decode(row.plan, type=RolloutPlan)


def rollout_of(row: Row[Any]) -> Rollout:
    """The rollout as it is shown."""
    return Rollout(
        id=row.id,
        state=RolloutState(row.state),
        plan=plan_of(row),
        author=row.author,
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        candidate=short_reference(row.name, row.candidate),
        baseline=short_reference(row.name, row.baseline),
        step=row.step,
        step_began_ms=row.step_began_ms,
        turn=row.turn,
        decision=_decision(row.decision),
        reason=row.reason,
        tenant=row.tenant,
    )


def _decision(text: str | None) -> Decision | None:
    return msgspec.json.decode(text, type=Decision) if text else None
