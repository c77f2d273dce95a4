"""Each tenant's blobs lie in a place of their own; what was published before stays where it lies."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"

_SCHEMA: Final = "registry"
_ADDED: Final = ("blobs", "version_blobs", "versions", "uploads")


def upgrade() -> None:
    """Empty is the platform's place, in which everything lay."""
    # What a tenant has announced may name blobs of others in the place that was shared; it has to begin again.
    op.execute("delete from registry.uploads where tenant <> ''")
    op.drop_constraint("version_blobs_blob_fkey", "version_blobs", schema=_SCHEMA)
    for table in _ADDED:
        op.add_column(table, sa.Column("place", sa.Text, nullable=False, server_default=""), schema=_SCHEMA)
    _set_key("blobs", ["place", "digest"])
    _set_key("uploads", ["tenant", "digest"])
    _refer("version_blobs_place_blob_fkey", ["place", "blob"], ["place", "digest"])


def downgrade() -> None:
    """One place for all again.

    It is refused once a tenant has blobs of its own: the version before would not find them.
    """
    op.execute(
        "do $$ begin if exists (select from registry.blobs where place <> '') then"
        " raise exception 'blobs of tenants lie in places of their own, where the version before does not look';"
        " end if; end $$"
    )
    op.execute("delete from registry.uploads where tenant <> ''")
    op.drop_constraint("version_blobs_place_blob_fkey", "version_blobs", schema=_SCHEMA)
    _set_key("blobs", ["digest"])
    _set_key("uploads", ["digest"])
    for table in reversed(_ADDED):
        op.drop_column(table, "place", schema=_SCHEMA)
    _refer("version_blobs_blob_fkey", ["blob"], ["digest"])


def _set_key(table: str, columns: list[str]) -> None:
    op.drop_constraint(f"{table}_pkey", table, schema=_SCHEMA)
    op.create_primary_key(f"{table}_pkey", table, columns, schema=_SCHEMA)


def _refer(name: str, columns: list[str], referred: list[str]) -> None:
    op.create_foreign_key(
        name, "version_blobs", "blobs", columns, referred, source_schema=_SCHEMA, referent_schema=_SCHEMA
    )
