"""The tables of identity, in the schema `identity`; the migrations make them, with their indexes and checks."""

from typing import Final

from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Identity, MetaData, SmallInteger, Table, Text

from libs.contracts import subjects
from libs.contracts.identity import KeyChanged, ProjectChanged
from libs.kit.outbox import Outbox

SCHEMA: Final = "identity"

metadata: Final = MetaData(schema=SCHEMA)

head: Final = Table(
    "head",
    metadata,
    # There is one row. Whoever changes a key locks it first, so that changes are in the order of commits.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Which store this is: made anew, it has another name.
    Column("store", Text, nullable=False),
    # Of the newest change of a key.
    Column("revision", BigInteger, nullable=False),
)

organisations: Final = Table(
    "organisations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

projects: Final = Table(
    "projects",
    metadata,
    Column("name", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("title", Text, nullable=False),
    # `Limits` as JSON.
    Column("limits", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=False),
    # Grows with each change of the row.
    Column("revision", BigInteger, nullable=False),
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    # In the order in which they were made.
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    # SHA-256 in hexadecimal digits; the key itself is nowhere.
    Column("digest", Text, nullable=False),
    Column("role", Text, nullable=False),
    # None: a key of the platform.
    Column("tenant", Text),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("models", ARRAY(Text), nullable=False),
    # `Limits` as JSON.
    Column("limits", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),
    Column("rotated_to", Text, nullable=False),
    # The first of those that took over from one another, whose limits hold for all; empty: this one.
    Column("first_key", Text, nullable=False),
    # Grows with each change of the row.
    Column("revision", BigInteger, nullable=False),
    # The `head.revision` that its newest change made, of the key or of what its project may use.
    Column("changed_at", BigInteger, nullable=False),
)

usage: Final = Table(
    "usage",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)

leadership: Final = Table(
    "leadership",
    metadata,
    # There is one row: which process grants limits.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    # On the database's clock.
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

shares: Final = Table(
    "shares",
    metadata,
    # `project:<name>` or `key:<id of the first key>`.
    Column("holder", Text, primary_key=True),
    # The day or month that the budget is for.
    Column("period", Text, nullable=False),
    # At least what gateways have, and what those that have gone may have used; of the budget exactly that.
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("slots", BigInteger, nullable=False),
    Column("budget_tokens", BigInteger, nullable=False),
)

usage_numbers: Final = Table(
    "usage_numbers",
    metadata,
    Column("gateway", Text, primary_key=True),
    # Of the last usage that was recorded for it.
    Column("number", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
)

OUTBOX: Final = Outbox(metadata, {KeyChanged: subjects.KEY_CHANGED, ProjectChanged: subjects.PROJECT_CHANGED})
