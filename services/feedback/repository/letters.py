"""Messages that could not be taken in."""

from typing import Any, Final, NamedTuple

from services.feedback.repository.bulk import Connection

_BURY: Final = """
insert into feedback.dead_letters
    (id, time_ms, tenant, target, rater, code, reason, subject, payload, message_id)
select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bytea[], $10::text[])
on conflict do nothing returning id
"""
_COLUMNS: Final = """place, id, time_ms, code, reason, subject, message_id, octet_length(payload) as size_bytes,
    encode(sha256(payload), 'hex') as digest"""
_PAGE: Final = f"select {_COLUMNS} from feedback.dead_letters where place > $1 order by place limit $2"  # noqa: S608
_READ: Final = f"select {_COLUMNS}, payload from feedback.dead_letters where place = $1"  # noqa: S608
_CLAIM: Final = f"{_READ} for update"
_REMOVE: Final = f"delete from feedback.dead_letters where place = $1 returning {_COLUMNS}"  # noqa: S608


class DeadLetter(NamedTuple):
    """One row of the dead letters, as it is written."""

    id: str
    time_ms: int
    tenant: str
    target: str
    rater: str
    code: str
    reason: str
    subject: str
    payload: bytes
    message_id: str


class Kept(NamedTuple):
    """One row of the dead letters, without its words."""

    place: int
    id: str
    time_ms: int
    code: str
    reason: str
    subject: str
    message_id: str
    size_bytes: int
    digest: str


async def bury(connection: Connection, letters: list[DeadLetter]) -> set[str]:
    """Keep what could not be taken in, once per id; the ids that are new."""
    if not letters:
        return set()
    columns = [list(column) for column in zip(*sorted(letters), strict=True)]
    return {row["id"] for row in await connection.fetch(_BURY, *columns)}


async def page(connection: Connection, after: int, limit: int) -> list[Kept]:
    """Those that came after this place, oldest first."""
    return [Kept(*row) for row in await connection.fetch(_PAGE, after, limit)]


async def read(connection: Connection, place: int) -> tuple[Kept, bytes] | None:
    """One, and its words."""
    return _with_words(await connection.fetchrow(_READ, place))


async def claim(connection: Connection, place: int) -> tuple[Kept, bytes] | None:
    """One, and its words; whoever else claims it waits until this transaction ends."""
    return _with_words(await connection.fetchrow(_CLAIM, place))


async def remove(connection: Connection, place: int) -> Kept | None:
    """Forget one; None if it is not there."""
    row = await connection.fetchrow(_REMOVE, place)
    return None if row is None else Kept(*row)


def _with_words(row: Any) -> tuple[Kept, bytes] | None:
    return None if row is None else (Kept(*row[:-1]), row[-1])
