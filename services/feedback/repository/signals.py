"""Signals in batches: what is known of them, and what a ruling writes."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from libs.contracts.feedback import RecordSignal, Signal, SignalKind, Source
from libs.kit.signals import origin_of
from services.feedback.domain.judging import (
    Case,
    Handled,
    Id,
    Known,
    Recorded,
    Ruling,
    Seen,
    Standing,
    Target,
)
from services.feedback.repository.bulk import CollisionError, Connection, copy

_BY_INDEX: Final = "set local enable_seqscan = off"
"""Each question has an index to go by, whatever the planner thinks of tables that grow fast from nothing."""
_HANDLED: Final = """
select tenant, id, digest, signal_id, code, reason from feedback.inbox where id = any(string_to_array($1, chr(31)))
"""
_WAITING: Final = """
select tenant, id, digest from feedback.pending_signals where id = any(string_to_array($1, chr(31)))
"""
_INTERACTIONS: Final = """
select tenant, request_id, model_version, erased_ms is not null from feedback.interactions
where request_id = any(string_to_array($1, chr(31)))
"""
_STANDING: Final = """
select asked.n, s.signal_id, s.time_ms, s.value_digest
from unnest(
    string_to_array($1, chr(31)), string_to_array($2, chr(31)), string_to_array($3, chr(31)),
    string_to_array($4, chr(31)), string_to_array($5, chr(31))) with ordinality
    as asked(tenant, target, kind, origin, rater, n)
cross join lateral (
    select s.signal_id, s.time_ms, s.value_digest from feedback.standing s
    where s.target = asked.target and s.rater = asked.rater and s.kind = asked.kind
        and s.origin = asked.origin and s.tenant = asked.tenant limit 1
) s
where asked.n <= $6
"""
"""Row by row, for of one target there may be any number."""
_BETWEEN: Final = "\x1f"
"""A control character, which no name holds. Joined, a column costs the driver a tenth of what an array does."""
_EPISODES: Final = """
select asked.tenant, asked.episode_id, newest.model_version, newest.erased_ms is not null as erased
from unnest($1::text[], $2::text[]) as asked(tenant, episode_id)
cross join lateral (
    select model_version, erased_ms from feedback.interactions i
    where i.tenant = asked.tenant and i.episode_id = asked.episode_id and i.episode_id <> ''
    order by time_ms desc limit 1
) newest
"""
_ANSWERS: Final = """
select c.tenant, c.request_id, c.answer
from unnest($1::text[], $2::text[]) as asked(tenant, request_id)
join feedback.contents c using (tenant, request_id)
where not c.redacted and not c.truncated
"""
_MOVE: Final = """
update feedback.standing s
set signal_id = moved.signal_id, time_ms = moved.time_ms, value_digest = moved.value_digest
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::bytea[], $9::text[]) as moved(tenant, target, kind, origin, rater, signal_id, time_ms, value_digest, stood)
where s.tenant = moved.tenant and s.target = moved.target and s.kind = moved.kind and s.origin = moved.origin
    and s.rater = moved.rater and s.signal_id = moved.stood
"""
_DUE: Final = """
with due as (
    select tenant, id from feedback.pending_signals where expires_ms <= $1
    union
    select p.tenant, p.id from feedback.pending_signals p
    join feedback.interactions i on i.request_id = substr(p.target, 3) and i.tenant = p.tenant
    where p.target like 'i:%'
    union
    select p.tenant, p.id from feedback.pending_signals p
    join feedback.interactions i
        on i.tenant = p.tenant and i.episode_id = substr(p.target, 3) and i.episode_id <> ''
    where p.target like 'e:%'
    limit $2
)
select p.command, p.expires_ms <= $1 as expired from feedback.pending_signals p join due using (tenant, id)
order by p.tenant, p.id for update of p skip locked
"""
_FORGET: Final = """
delete from feedback.pending_signals p using unnest($1::text[], $2::text[]) as asked(tenant, id)
where p.tenant = asked.tenant and p.id = asked.id
"""
_ONE: Final = "select * from feedback.signals where tenant = $1 and id = $2"

_SIGNAL_COLUMNS: Final = (
    "tenant", "id", "kind", "request_id", "episode_id", "value_bool", "value_number", "value_text", "rater", "origin",
    "source", "weight", "tags", "model_version", "time_ms", "recorded_ms", "key_id", "supersedes", "superseded_by",
)  # fmt: skip
_STANDING_COLUMNS: Final = ("tenant", "target", "kind", "origin", "rater", "signal_id", "time_ms", "value_digest")
_INBOX_COLUMNS: Final = ("tenant", "id", "digest", "signal_id", "code", "reason", "time_ms")
_PENDING_COLUMNS: Final = ("tenant", "id", "target", "digest", "command", "expires_ms")

_decode_command = msgspec.json.Decoder(RecordSignal).decode


class Due(NamedTuple):
    """A signal that waits no longer."""

    command: RecordSignal
    expired: bool


async def known(connection: Connection, cases: list[Case]) -> Known:
    """Everything that decides about `cases`; ids of other tenants may be among it."""
    found = Known()
    if not cases:
        return found
    await connection.execute(_BY_INDEX)
    ids = _BETWEEN.join([case.ident[1] for case in cases])
    for tenant, id_, *handled in await connection.fetch(_HANDLED, ids):
        found.handled[tenant, id_] = Handled(*handled)
    for tenant, id_, digest in await connection.fetch(_WAITING, ids):
        found.waiting[tenant, id_] = digest
    requests = _BETWEEN.join([case.target[1][2:] for case in cases if not case.command.episode_id])
    for tenant, request_id, version, erased in await connection.fetch(_INTERACTIONS, requests):
        found.targets[tenant, f"i:{request_id}"] = Seen(version, erased)
    for number, *standing in await connection.fetch(_STANDING, *_joined(case.key for case in cases), len(cases)):
        found.standing[cases[number - 1].key] = Standing(*standing)
    await _add_episodes(connection, {case.target for case in cases if case.command.episode_id}, found.targets)
    shown = {case.target for case in cases if case.command.kind is SignalKind.DEMONSTRATION}
    await _add_answers(connection, shown & found.targets.keys(), found.targets)
    return found


async def write(connection: Connection, ruling: Ruling, *, now_ms: int, expires_ms: int) -> None:
    """Write a ruling.

    Raises:
        CollisionError: the database has changed since the ruling was made.
        asyncpg.UniqueViolationError: as above.
    """
    inbox = [(*ident, *handled, now_ms) for ident, handled in sorted(ruling.handled.items(), key=_name)]
    await copy(connection, "inbox", _INBOX_COLUMNS, inbox)
    # In the order of their ids, for neighbours in an index are cheaper to add than strangers.
    recorded = sorted(ruling.recorded, key=lambda one: one.signal.id)
    await copy(connection, "signals", _SIGNAL_COLUMNS, [_signal_row(one) for one in recorded])
    fresh = [(*key, *one) for key, one in sorted(ruling.stands.items(), key=_name) if key not in ruling.stood]
    await copy(connection, "standing", _STANDING_COLUMNS, fresh)
    moved = [(*key, *ruling.stands[key], stood) for key, stood in sorted(ruling.stood.items())]
    if moved:
        done = await connection.execute(_MOVE, *_columns(moved))
        if done != f"UPDATE {len(moved)}":
            raise CollisionError(f"{done} of {len(moved)}")
    waiting = [
        (*ident, case.target[1], case.digest, msgspec.json.encode(case.command), expires_ms)
        for ident, case in sorted(ruling.waiting.items())
    ]
    await copy(connection, "pending_signals", _PENDING_COLUMNS, waiting)


async def due(connection: Connection, *, now_ms: int, limit: int) -> list[Due]:
    """Waiting signals whose interaction has come or whose time is over, locked until the transaction ends."""
    return [Due(_decode_command(row["command"]), row["expired"]) for row in await connection.fetch(_DUE, now_ms, limit)]


async def forget(connection: Connection, ids: list[Id]) -> None:
    """These wait no longer."""
    if ids:
        await connection.execute(_FORGET, *_columns(ids))


async def show(connection: Connection, tenant: str, signal_id: str) -> Signal | None:
    """One signal."""
    row = await connection.fetchrow(_ONE, tenant, signal_id)
    return None if row is None else from_row(row)


def from_row(row: Any) -> Signal:
    """A signal as others see it, from a row of the table by column name."""
    values = (row["value_bool"], row["value_number"], row["value_text"])
    return Signal(
        id=row["id"],
        tenant=row["tenant"],
        kind=SignalKind(row["kind"]),
        value=next(value for value in values if value is not None),
        time_ms=row["time_ms"],
        recorded_ms=row["recorded_ms"],
        request_id=row["request_id"],
        episode_id=row["episode_id"],
        model_version=row["model_version"],
        rater=row["rater"],
        source=Source(row["source"]),
        weight=row["weight"],
        tags=tuple(row["tags"]),
        supersedes=row["supersedes"],
        superseded_by=row["superseded_by"],
    )


def _signal_row(one: Recorded) -> tuple[Any, ...]:
    signal, value = one.signal, one.signal.value
    return (
        signal.tenant,
        signal.id,
        signal.kind,
        signal.request_id,
        signal.episode_id,
        value if isinstance(value, bool) else None,
        value if isinstance(value, float) else None,
        value if isinstance(value, str) else None,
        signal.rater,
        origin_of(signal.source),
        signal.source,
        signal.weight,
        signal.tags,
        signal.model_version,
        signal.time_ms,
        signal.recorded_ms,
        one.command.key_id,
        signal.supersedes,
        signal.superseded_by,
    )


def _name(item: tuple[tuple[str, ...], Any]) -> str:
    """An id or a target: an order by which transactions seldom meet head-on; if they do, one decides again."""
    return item[0][1]


async def _add_episodes(connection: Connection, wanted: set[Target], targets: dict[Target, Seen]) -> None:
    if wanted:
        asked = sorted((tenant, target[2:]) for tenant, target in wanted)
        for row in await connection.fetch(_EPISODES, *_columns(asked)):
            targets[row["tenant"], f"e:{row['episode_id']}"] = Seen(row["model_version"], row["erased"])


async def _add_answers(connection: Connection, wanted: set[Target], targets: dict[Target, Seen]) -> None:
    if wanted:
        asked = sorted((tenant, target[2:]) for tenant, target in wanted)
        for row in await connection.fetch(_ANSWERS, *_columns(asked)):
            target = (row["tenant"], f"i:{row['request_id']}")
            targets[target] = targets[target]._replace(answer=_text_of(row["answer"]))


def _text_of(answer: str) -> str:
    decoded = msgspec.json.decode(answer)
    text = decoded.get("content") if isinstance(decoded, dict) else None
    return text if isinstance(text, str) else ""


def _joined(rows: Iterable[tuple[str, ...]]) -> list[str]:
    # Closed by a separator, for nothing at all would be no element instead of an empty one.
    return [_BETWEEN.join(column) + _BETWEEN for column in zip(*rows, strict=True)]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
