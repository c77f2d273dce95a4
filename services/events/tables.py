"""The tables of webhooks, in the schema `events`; the migrations make them, with their indexes and checks."""

from typing import Final

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Identity, Integer, MetaData, Table, Text

SCHEMA: Final = "events"

metadata: Final = MetaData(schema=SCHEMA)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    # Empty: of the platform.
    Column("tenant", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("disabled_reason", Text, nullable=False),
    # Whoever signs must have the key itself.
    Column("secret", Text, nullable=False),
    Column("former_secret", Text, nullable=False),
    Column("rotated_until_ms", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("webhook", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    # What is sent, byte for byte.
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # When it is sent next; of one that is being sent, when it is taken for lost.
    Column("next_ms", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
