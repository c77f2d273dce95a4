"""Erasures: what is never to be kept again."""

import hashlib
from typing import Final, NamedTuple

from services.feedback.repository.bulk import Connection

_LOCK_KEY: Final = 0x6C6C_6E02
"""Shared by whoever brings content, exclusive for whoever erases it: nothing slips in between."""
_ERASED_USERS: Final = """
select tenant, user_digest, max(time_ms) as time_ms from feedback.erasures
where user_digest = any($1::text[]) group by tenant, user_digest
"""
_TARGETS: Final = """
select request_id from feedback.interactions
where tenant = $1 and ((request_id = $2 and $2 <> '') or (end_user = $3 and $3 <> ''))
"""
_DROP_CONTENTS: Final = "delete from feedback.contents where tenant = $1 and request_id = any($2::text[])"
_TOMBSTONES: Final = """
update feedback.interactions set erased_ms = $3, end_user = ''
where tenant = $1 and request_id = any($2::text[]) and erased_ms is null
"""
_DROP_PENDING: Final = """
delete from feedback.pending_signals p
where tenant = $1 and (target = any($2::text[])
    or ($3 <> '' and convert_from(command, 'UTF8')::json ->> 'rater' = $3))
"""
_BLANK_LETTERS: Final = """
update feedback.dead_letters set payload = '', rater = ''
where tenant = $1 and (target = any($2::text[]) or (rater = $3 and $3 <> ''))
"""
_BLANK_STANDING: Final = """
update feedback.standing set value_digest = ''
where tenant = $1 and kind in ('comment', 'demonstration')
    and (target = any($2::text[]) or (rater = $3 and $3 <> ''))
"""
_BLANK_TEXTS: Final = """
update feedback.signals set value_text = ''
where tenant = $1 and value_text <> ''
    and ((request_id = any($2::text[]) and request_id <> '') or (rater = $3 and $3 <> ''))
"""
_RENAME_RATER: Final = "update feedback.signals set rater = $3 where tenant = $1 and rater = $2"
_RENAME_STANDING: Final = "update feedback.standing set rater = $3 where tenant = $1 and rater = $2"
_DATASETS: Final = """
select distinct dataset from feedback.dataset_rows where request_id = any($1::text[]) order by dataset
"""
ERASED_RATER: Final = "erased:"
"""What the name of an erased rater begins with."""
_ADD: Final = "insert into feedback.erasures values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"


class Tombstone(NamedTuple):
    """One erasure, without what it erased."""

    id: str
    tenant: str
    request_id: str
    user_digest: str
    author: str
    time_ms: int
    interactions: int
    signals: int
    datasets: list[str]


def digest_of(tenant: str, user: str) -> str:
    """What stays of a data subject's name."""
    return hashlib.sha256(b"%b\0%b" % (tenant.encode(), user.encode())).hexdigest()


async def hold_off(connection: Connection) -> None:
    """No erasure happens until this transaction ends."""
    await connection.execute("select pg_advisory_xact_lock_shared($1)", _LOCK_KEY)


async def erased_users(connection: Connection, users: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Those of `users` (tenant and name) who were erased, and when last, in Unix milliseconds."""
    digests = {digest_of(tenant, user): (tenant, user) for tenant, user in users}
    rows = await connection.fetch(_ERASED_USERS, sorted(digests)) if digests else []
    return {digests[row["user_digest"]]: row["time_ms"] for row in rows}


async def begin(connection: Connection) -> None:
    """Wait until nobody brings content, keep everybody off until this transaction ends, and may change judgements."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)
    await connection.execute("set local feedback.erasing = 'on'")


async def targets(connection: Connection, tenant: str, *, request_id: str = "", user: str = "") -> list[str]:
    """Request ids of what is to be erased, among them what was erased before."""
    rows = await connection.fetch(_TARGETS, tenant, request_id, user)
    return sorted(row["request_id"] for row in rows)


async def blank(connection: Connection, tenant: str, ids: list[str], *, now_ms: int) -> None:
    """Remove contents and the name of the data subject; the rows stay as tombstones."""
    await connection.execute(_DROP_CONTENTS, tenant, ids)
    await connection.execute(_TOMBSTONES, tenant, ids, now_ms)


async def blank_signals(connection: Connection, tenant: str, ids: list[str], user: str) -> int:
    """Remove the texts of signals about these or by `user`, also of those that wait or were refused; how many.

    What the signals say in numbers stays; a rater of that name becomes a digest.
    """
    targets = [f"i:{one}" for one in ids]
    await connection.execute(_DROP_PENDING, tenant, targets, user)
    await connection.execute(_BLANK_LETTERS, tenant, targets, user)
    await connection.execute(_BLANK_STANDING, tenant, targets, user)
    count = int((await connection.execute(_BLANK_TEXTS, tenant, ids, user)).rpartition(" ")[2])
    if user:
        name = f"{ERASED_RATER}{digest_of(tenant, user)[:24]}"
        await connection.execute(_RENAME_RATER, tenant, user, name)
        await connection.execute(_RENAME_STANDING, tenant, user, name)
    return count


async def datasets_with(connection: Connection, ids: list[str]) -> list[str]:
    """References of published data sets that were built from any of these."""
    return [row["dataset"] for row in await connection.fetch(_DATASETS, ids)]


async def add(connection: Connection, tombstone: Tombstone) -> None:
    """Remember that it was done."""
    await connection.execute(_ADD, *tombstone)
