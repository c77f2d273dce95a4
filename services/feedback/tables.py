"""Feedback's tables, in the schema `feedback`; the migrations make them, with their indexes and checks."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Identity, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from libs.kit.outbox import BundledOutbox

SCHEMA: Final = "feedback"

metadata: Final = MetaData(schema=SCHEMA)

interactions: Final = Table(
    "interactions",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("service_class", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("episode_id", Text, nullable=False),
    # The data subject, as the client names it.
    Column("end_user", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("client_request_id", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("queue_ms", Integer, nullable=False),
    Column("first_byte_ms", Integer, nullable=False),
    Column("total_ms", Integer, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    # Null unless its content was erased.
    Column("erased_ms", BigInteger),
)

contents: Final = Table(
    "contents",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    # Of the interaction, so that content grows old with it and not with its arrival.
    Column("time_ms", BigInteger, nullable=False),
    # JSON as text: a list of chat messages, and an assistant message; "null" where there is none. Not jsonb, which
    # cannot hold every string that JSON can.
    Column("messages", Text, nullable=False),
    Column("answer", Text, nullable=False),
    # Whether the answer's end is missing.
    Column("truncated", Boolean, nullable=False),
    Column("redacted", Boolean, nullable=False),
)

signals: Final = Table(
    "signals",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # One of the two is empty.
    Column("request_id", Text, nullable=False),
    Column("episode_id", Text, nullable=False),
    # Exactly one is not null; a check says which for each kind.
    Column("value_bool", Boolean),
    Column("value_number", Float),
    Column("value_text", Text),
    Column("rater", Text, nullable=False),
    # `judgement`, or the implicit source: signals supersede only those of their own origin.
    Column("origin", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("weight", Float, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("supersedes", Text, nullable=False),
    # Only of a signal that came later than the one that supersedes it; `standing` knows the others.
    Column("superseded_by", Text, nullable=False),
)

standing: Final = Table(
    "standing",
    metadata,
    Column("tenant", Text, primary_key=True),
    # `i:<request id>` or `e:<episode id>`.
    Column("target", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("rater", Text, primary_key=True),
    # The signal that counts; every other one with the same key is superseded.
    Column("signal_id", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("value_digest", LargeBinary, nullable=False),
)

inbox: Final = Table(
    "inbox",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    # What it was answered with: a signal, or a refusal.
    Column("signal_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
)

pending_signals: Final = Table(
    "pending_signals",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    # As in `standing`: what it waits for.
    Column("target", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("command", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("rater", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    # By which operators name it.
    Column("place", BigInteger, Identity(always=True), nullable=False),
    # By which the bus knew it; empty where that cannot be read.
    Column("message_id", Text, nullable=False, server_default=""),
)

OUTBOX: Final = BundledOutbox(metadata)

erasures: Final = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    # What was erased: one interaction, or a data subject, of whom only a digest stays.
    Column("request_id", Text, nullable=False),
    Column("user_digest", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("interactions", Integer, nullable=False),
    Column("signals", Integer, nullable=False),
    Column("datasets", ARRAY(Text), nullable=False),
)

dataset_rows: Final = Table(
    "dataset_rows",
    metadata,
    # Reference of the published version that was built from the interaction.
    Column("dataset", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
)

dataset_jobs: Final = Table(
    "dataset_jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("state", Text, nullable=False),
    # A `Selection` as JSON, its end fixed when it was ordered.
    Column("selection", Text, nullable=False),
    Column("author", Text, nullable=False),
    # Who ordered it; empty: the platform.
    Column("tenant", Text, nullable=False, server_default=""),
    Column("dry_run", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_total", BigInteger, nullable=False),
    # JSON: rows left after each step, in order.
    Column("counts", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("error", Text, nullable=False),
)
