"""Ids come first in keys, so that one comparison decides."""

from typing import Final

from alembic import op

revision = "r0006"
down_revision = "r0005"

_KEYS: Final = {
    "inbox": ("id, tenant", "tenant, id"),
    "pending_signals": ("id, tenant", "tenant, id"),
    "standing": ("target, rater, kind, origin, tenant", "tenant, target, kind, origin, rater"),
}


def upgrade() -> None:
    """Thousands of ids are asked for at once, by name alone."""
    for table, (key, _) in _KEYS.items():
        _replace(table, key)


def downgrade() -> None:
    """As before."""
    for table, (_, key) in _KEYS.items():
        _replace(table, key)


def _replace(table: str, key: str) -> None:
    op.execute(
        f"alter table feedback.{table} drop constraint {table}_pkey, add constraint {table}_pkey primary key ({key})"
    )
