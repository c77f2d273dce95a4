"""What was said last of how versions are judged, and whether anything has happened since."""

from typing import Final

from services.feedback.repository.bulk import Connection

_CLAIM: Final = "select until_ms from feedback.statistics_counted for update skip locked"
_IS_NEWS: Final = "select exists (select from feedback.signals where recorded_ms >= $1)"
_COUNTED: Final = "update feedback.statistics_counted set until_ms = $1"
_TOLD: Final = "select model_version, tag, said from feedback.statistics_told"
_TELL: Final = """
insert into feedback.statistics_told (model_version, tag, said)
select * from unnest($1::text[], $2::text[], $3::text[])
on conflict (model_version, tag) do update set said = excluded.said
"""

Group = tuple[str, str]
"""A version, and a tag or nothing for all of its judgements."""


async def claim(connection: Connection) -> int | None:
    """Until when everything is counted, locked until the transaction ends; None if another process counts."""
    until_ms: int | None = await connection.fetchval(_CLAIM)
    return until_ms


async def is_news(connection: Connection, since_ms: int) -> bool:
    """Whether a signal was recorded since then."""
    return bool(await connection.fetchval(_IS_NEWS, since_ms))


async def told(connection: Connection) -> dict[Group, str]:
    """What was said last of each group."""
    return {(row["model_version"], row["tag"]): row["said"] for row in await connection.fetch(_TOLD)}


async def tell(connection: Connection, said: dict[Group, str], *, until_ms: int) -> None:
    """Note what is said by this transaction, and until when everything is counted."""
    if said:
        versions, tags = zip(*said, strict=True)
        await connection.execute(_TELL, versions, tags, list(said.values()))
    await connection.execute(_COUNTED, until_ms)
