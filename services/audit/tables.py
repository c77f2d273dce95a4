"""The schema `audit`: one table, to which rows are only added."""

from typing import Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

metadata: Final = MetaData(schema="audit")

entries: Final = Table(
    "entries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_ms", BigInteger, nullable=False),
    # The entry's JSON, byte for byte as it was when the link was made.
    Column("entry", Text, nullable=False),
    Column("link", Text, nullable=False),
    # The rest is made from the entry by the database itself.
    Column("id", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("object", Text, nullable=False),
)
