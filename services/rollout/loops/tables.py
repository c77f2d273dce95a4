"""The tables of loops, in the schema `rollout`, beside those of rollouts."""

from typing import Final

from sqlalchemy import BigInteger, Column, Identity, Integer, Table, Text

from services.rollout.tables import metadata

loops: Final = Table(
    "loops",
    metadata,
    Column("name", Text, primary_key=True),
    # A `Loop` as JSON.
    Column("declared", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

turns: Final = Table(
    "turns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("loop", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    # References by which turns are found.
    Column("dataset", Text, nullable=False),
    Column("version", Text, nullable=False),
    # The whole `Turn` as JSON; the columns above say the same.
    Column("turn", Text, nullable=False),
    # Why it is to be called off; empty unless it is. Whoever drives it calls off what it ordered, and then ends it.
    Column("cancel", Text, nullable=False),
    # Whose it is; empty: the platform's.
    Column("tenant", Text, nullable=False, server_default=""),
)
