"""Interactions and their contents in batches."""

from typing import Any, Final, NamedTuple

from libs.contracts.inference import RequestCompleted, Usage
from services.feedback.repository.bulk import Connection, copy
from services.feedback.repository.erasures import erased_users

_COLUMNS: Final = (
    "request_id", "tenant", "time_ms", "model", "model_version", "outcome", "status", "error_code", "route",
    "service_class", "stream", "episode_id", "end_user", "key_id", "client_request_id", "worker", "retries",
    "prompt_tokens", "cached_tokens", "completion_tokens", "finish_reason", "queue_ms", "first_byte_ms", "total_ms",
    "response_bytes", "erased_ms",
)  # fmt: skip
_STAGED: Final = "new_interactions"
_STAGE: Final = f"create temporary table if not exists {_STAGED} (like feedback.interactions) on commit delete rows"
_ADD: Final = f"""
insert into feedback.interactions ({", ".join(_COLUMNS)}) select {", ".join(_COLUMNS)} from {_STAGED}
on conflict do nothing
"""  # noqa: S608 - our own names
_ADD_CONTENTS: Final = """
insert into feedback.contents (request_id, tenant, time_ms, messages, answer, truncated, redacted)
select new.request_id, new.tenant, new.time_ms, new.messages, new.answer, new.truncated, new.redacted
from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bool[], $7::bool[])
    as new(request_id, tenant, time_ms, messages, answer, truncated, redacted)
join feedback.interactions i on i.request_id = new.request_id and i.tenant = new.tenant
where i.erased_ms is null
on conflict do nothing
"""
_NO_USAGE: Final = Usage()


class Content(NamedTuple):
    """What was asked and answered, as JSON."""

    request_id: str
    tenant: str
    time_ms: int
    messages: str
    answer: str
    truncated: bool
    redacted: bool


async def append(connection: Connection, completed: list[RequestCompleted]) -> None:
    """Add what is new at half the cost of `add`, if all of it is; in a fixed order, as there.

    Raises:
        asyncpg.UniqueViolationError: something is there already; nothing else can be done in this transaction.
    """
    rows = await _rows(connection, completed)
    await copy(connection, "interactions", _COLUMNS, rows)


async def add(connection: Connection, completed: list[RequestCompleted]) -> None:
    """Add what is new; in a fixed order, so that two transactions never wait for each other."""
    rows = await _rows(connection, completed)
    if rows:
        # A copy encodes a row in a fraction of what a column of an array takes, and unlike a copy into the table itself
        # it stands repeats.
        await connection.execute(_STAGE)
        await connection.copy_records_to_table(_STAGED, columns=_COLUMNS, records=rows)
        await connection.execute(_ADD)


async def add_contents(connection: Connection, contents: list[Content]) -> None:
    """Add what is new and not of an erased interaction; the interactions must be there."""
    rows = sorted({one.request_id: one for one in contents}.items())
    if rows:
        await connection.execute(
            _ADD_CONTENTS, *(list(column) for column in zip(*(row for _, row in rows), strict=True))
        )


async def _rows(connection: Connection, completed: list[RequestCompleted]) -> list[tuple[Any, ...]]:
    users = {(one.tenant, one.user) for one in completed if one.user}
    erased = await erased_users(connection, users)
    rows = {one.request_id: _row(one, erased.get((one.tenant, one.user), 0)) for one in completed}
    return [row for _, row in sorted(rows.items())]


def _row(one: RequestCompleted, user_erased_ms: int) -> tuple[Any, ...]:
    usage = one.usage or _NO_USAGE
    is_erased = user_erased_ms >= one.time_ms
    return (
        one.request_id,
        one.tenant,
        one.time_ms,
        one.model,
        one.model_version,
        one.outcome,
        one.status,
        one.error_code,
        one.route,
        one.service_class,
        one.stream,
        one.episode_id,
        "" if is_erased else one.user,
        one.key_id,
        one.client_request_id,
        one.worker,
        one.retries,
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.completion_tokens,
        usage.finish_reason,
        one.queue_ms,
        one.first_byte_ms,
        one.total_ms,
        one.response_bytes,
        user_erased_ms if is_erased else None,
    )
