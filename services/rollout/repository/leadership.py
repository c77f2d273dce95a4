"""The row that says which process leads, on the database's clock."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_RENEW: Final = """
update rollout.leadership set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where holder = :holder and epoch = :epoch and lease_until > clock_timestamp()
returning epoch
"""
_TAKE: Final = """
update rollout.leadership
set epoch = greatest(epoch + 1, extract(epoch from clock_timestamp())::bigint),
    holder = :holder,
    lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where lease_until <= clock_timestamp()
returning epoch
"""
"""Grows by the clock, too, so that gateways believe the leader of a database that was made anew."""
_RESIGN: Final = """
update rollout.leadership set lease_until = clock_timestamp() where holder = :holder and epoch = :epoch
"""
_FENCE: Final = """
select 1 from rollout.leadership where epoch = :epoch for share
"""


async def renew(connection: AsyncConnection, holder: str, epoch: int, lease_s: float) -> bool:
    """Lead for another lease; False if the lead is lost."""
    values = {"holder": holder, "epoch": epoch, "lease_s": lease_s}
    return (await connection.execute(text(_RENEW), values)).first() is not None


async def take(connection: AsyncConnection, holder: str, lease_s: float) -> int:
    """Lead under a new epoch, if nobody does; 0 if somebody does."""
    row = (await connection.execute(text(_TAKE), {"holder": holder, "lease_s": lease_s})).first()
    return int(row.epoch) if row else 0


async def resign(connection: AsyncConnection, holder: str, epoch: int) -> None:
    """Lead no more."""
    await connection.execute(text(_RESIGN), {"holder": holder, "epoch": epoch})


async def holds(connection: AsyncConnection, epoch: int) -> bool:
    """Whether no later epoch has begun; none begins before this transaction has ended."""
    return (await connection.execute(text(_FENCE), {"epoch": epoch})).first() is not None
