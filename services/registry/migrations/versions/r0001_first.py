"""The first schema: blobs, versions, uploads, aliases, deployments, outbox."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "r0001"
down_revision = None

_SCHEMA: Final = "registry"
_NEVER_CHANGES: Final = {
    "versions": "update",
    "version_blobs": "update",
    "alias_moves": "update or delete",
}
"""Deleting a version is an operation of ours; changing one is not, nor is forgetting a move."""


def upgrade() -> None:
    """Make every table, and the triggers that keep immutable rows immutable."""
    _content()
    _names()
    _work()
    op.execute(
        f"create function {_SCHEMA}.refuse_change() returns trigger language plpgsql as $$ begin"
        " raise exception '% of %.% is refused: these rows never change', tg_op, tg_table_schema, tg_table_name"
        " using errcode = 'integrity_constraint_violation'; end $$"
    )
    for table, what in _NEVER_CHANGES.items():
        op.execute(
            f"create trigger never_changes before {what} on {_SCHEMA}.{table}"
            f" for each row execute function {_SCHEMA}.refuse_change()"
        )


def downgrade() -> None:
    """Remove everything."""
    for table in (
        "outbox", "deployments", "alias_moves", "aliases", "uploads", "version_blobs", "versions", "names", "files",
        "blobs",
    ):  # fmt: skip
        op.drop_table(table, schema=_SCHEMA)
    op.execute(f"drop function {_SCHEMA}.refuse_change()")


def _content() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("announced_ms", sa.BigInteger, nullable=False),
        sa.Column("verified_ms", sa.BigInteger),
        sa.Column("is_bad", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("unmarked_ms", sa.BigInteger),
        schema=_SCHEMA,
    )
    op.create_table(
        "files",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("blobs", ARRAY(sa.Text), nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "versions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("base_digest", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("published_ms", sa.BigInteger, nullable=False),
        sa.Column("published_by", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("manifest", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("name", "digest"),
        sa.UniqueConstraint("name", "number"),
        schema=_SCHEMA,
    )
    op.create_table(
        "version_blobs",
        sa.Column("digest", sa.Text, nullable=False, index=True),
        sa.Column("blob", sa.Text, sa.ForeignKey(f"{_SCHEMA}.blobs.digest"), nullable=False, index=True),
        sa.PrimaryKeyConstraint("digest", "blob"),
        schema=_SCHEMA,
    )


def _names() -> None:
    op.create_table(
        "names",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("last_number", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    for table, key in (("aliases", ("name", "alias")), ("alias_moves", ("name", "alias", "generation"))):
        op.create_table(
            table,
            sa.Column("name", sa.Text, nullable=False),
            sa.Column("alias", sa.Text, nullable=False),
            sa.Column("digest", sa.Text, nullable=False),
            sa.Column("generation", sa.Integer, nullable=False),
            sa.Column("author", sa.Text, nullable=False),
            sa.Column("moved_ms", sa.BigInteger, nullable=False),
            sa.Column("reason", sa.Text, nullable=False),
            sa.PrimaryKeyConstraint(*key),
            schema=_SCHEMA,
        )


def _work() -> None:
    op.create_table(
        "uploads",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("manifest", JSONB, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "deployments",
        sa.Column("pool", sa.Text, primary_key=True),
        sa.Column("base_name", sa.Text, nullable=False),
        sa.Column("base_digest", sa.Text, nullable=False),
        sa.Column("adapters", JSONB, nullable=False),
        sa.Column("engine_args", JSONB, nullable=False),
        sa.Column("replicas", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("declared_ms", sa.BigInteger, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("leaving", JSONB, nullable=False),
        sa.Column("engine_generation", sa.Integer, nullable=False),
        sa.Column("roll", JSONB),
        sa.Column("error", sa.Text, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        schema=_SCHEMA,
    )
