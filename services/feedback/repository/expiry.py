"""What has become too old."""

from typing import Final

from services.feedback.repository.bulk import Connection

_BATCH: Final = 2_000
_OLD_TEXTS: Final = (
    """
    delete from feedback.contents where request_id in (
        select request_id from feedback.contents where time_ms < $1 order by time_ms limit $2 for update skip locked)
    """,
    """
    delete from feedback.dead_letters where id in (
        select id from feedback.dead_letters where time_ms < $1 order by time_ms limit $2 for update skip locked)
    """,
)
_OLD_IDS: Final = """
    delete from feedback.inbox where (tenant, id) in (
        select tenant, id from feedback.inbox where time_ms < $1 order by time_ms limit $2 for update skip locked)
"""


async def remove(connection: Connection, *, texts_before_ms: int, ids_before_ms: int) -> int:
    """Remove some of what is older; how many rows. Until it is none, there may be more."""
    removed = 0
    for query, before_ms in (*((query, texts_before_ms) for query in _OLD_TEXTS), (_OLD_IDS, ids_before_ms)):
        done = await connection.execute(query, before_ms, _BATCH)
        removed += int(done.rpartition(" ")[2])
    return removed
