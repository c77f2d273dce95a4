"""Puts made-up interactions and signals into feedback's tables, as its own intake would, only faster."""

import itertools
from collections.abc import Iterable
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped] # it ships no types
import msgspec

from libs.kit.settings import PostgresSettings
from libs.kit.signals import origin_of
from services.feedback.datasets.rows import JoinedRow, Judgement

_BATCH: Final = 5_000
_INTERACTION: Final = (
    "request_id", "tenant", "time_ms", "model", "model_version", "outcome", "status", "error_code", "route",
    "service_class", "stream", "episode_id", "end_user", "key_id", "client_request_id", "worker", "retries",
    "prompt_tokens", "cached_tokens", "completion_tokens", "finish_reason", "queue_ms", "first_byte_ms", "total_ms",
    "response_bytes", "erased_ms",
)  # fmt: skip
_CONTENT: Final = ("request_id", "tenant", "time_ms", "messages", "answer", "truncated", "redacted")
_SIGNAL: Final = (
    "tenant", "id", "kind", "request_id", "episode_id", "value_bool", "value_number", "value_text", "rater", "origin",
    "source", "weight", "tags", "model_version", "time_ms", "recorded_ms", "key_id", "supersedes", "superseded_by",
)  # fmt: skip


async def store(settings: PostgresSettings, rows: Iterable[JoinedRow]) -> None:
    """Insert `rows`; the schema must be there."""
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        database=settings.database,
        password=settings.secret(),
    )
    try:
        left = iter(rows)
        while batch := list(itertools.islice(left, _BATCH)):
            signals = [_signal(row, signal) for row in batch for signal in row.signals]
            for table, columns, records in (
                ("interactions", _INTERACTION, [_interaction(row) for row in batch]),
                ("contents", _CONTENT, [_content(row) for row in batch]),
                ("signals", _SIGNAL, signals),
            ):
                await connection.copy_records_to_table(table, schema_name="feedback", columns=columns, records=records)
    finally:
        await connection.close()


def _interaction(row: JoinedRow) -> tuple[Any, ...]:
    finish = "length" if row.truncated else "stop"
    erased_ms = row.time_ms if row.erased else None
    return (
        row.request_id, row.tenant, row.time_ms, "helpdesk", row.model_version, row.outcome, 200, "",
        "/v1/chat/completions", "standard", False, row.episode_id, "", "key", row.request_id, "w1", 0, 10, 0, 10,
        finish, 1, 2, 3, 100, erased_ms,
    )  # fmt: skip


def _content(row: JoinedRow) -> tuple[Any, ...]:
    texts = (msgspec.json.encode(value).decode() for value in (row.messages, row.answer))
    return (row.request_id, row.tenant, row.time_ms, *texts, False, False)


def _signal(row: JoinedRow, signal: Judgement) -> tuple[Any, ...]:
    value = signal.value
    target = ("", row.episode_id) if signal.of_episode else (row.request_id, "")
    values = (
        value if isinstance(value, bool) else None,
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
        value if isinstance(value, str) else None,
    )
    return (
        row.tenant, signal.id, signal.kind.value, *target, *values, signal.rater, origin_of(signal.source),
        signal.source.value, signal.weight, list(signal.tags), row.model_version, signal.time_ms, signal.recorded_ms,
        "key", signal.supersedes, signal.superseded_by,
    )  # fmt: skip
