"""What leaves a transaction besides its rows: events to be sent, and messages that could not be taken in."""

from typing import Any, Final, NamedTuple

from services.feedback.repository.bulk import Connection

_BURY: Final = """
insert into feedback.dead_letters (id, time_ms, tenant, target, rater, code, reason, subject, payload)
select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bytea[])
on conflict do nothing returning id
"""
_SAY: Final = "insert into feedback.outbox (subject, ids, payloads, time_ms) values ($1, $2, $3, $4)"
_NEXT: Final = "select * from feedback.outbox order by sequence limit 1 for update skip locked"
_SAID: Final = "delete from feedback.outbox where sequence = $1"


class DeadLetter(NamedTuple):
    """One row of the dead letters."""

    id: str
    time_ms: int
    tenant: str
    target: str
    rater: str
    code: str
    reason: str
    subject: str
    payload: bytes


async def bury(connection: Connection, letters: list[DeadLetter]) -> set[str]:
    """Keep what could not be taken in, once per id; the ids that are new."""
    if not letters:
        return set()
    columns = [list(column) for column in zip(*sorted(letters), strict=True)]
    return {row["id"] for row in await connection.fetch(_BURY, *columns)}


async def say(connection: Connection, subject: str, ids: list[str], payloads: list[str], *, time_ms: int) -> None:
    """Send these events if, and only if, this transaction is committed; nothing for none."""
    if ids:
        await connection.execute(_SAY, subject, ids, payloads, time_ms)


async def next_to_say(connection: Connection) -> Any:
    """The oldest events that nobody is sending, locked until the transaction ends; None if there are none."""
    return await connection.fetchrow(_NEXT)


async def said(connection: Connection, sequence: int) -> None:
    """Forget events that the bus has stored."""
    await connection.execute(_SAID, sequence)
