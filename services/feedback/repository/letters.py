"""Messages that could not be taken in."""

from typing import Final, NamedTuple

from services.feedback.repository.bulk import Connection

_BURY: Final = """
insert into feedback.dead_letters (id, time_ms, tenant, target, rater, code, reason, subject, payload)
select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bytea[])
on conflict do nothing returning id
"""


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
