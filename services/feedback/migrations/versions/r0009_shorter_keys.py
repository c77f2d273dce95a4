"""Indexes of what a signal or an interaction belongs to hold the id alone."""

from typing import Final

from alembic import op

revision = "r0009"
down_revision = "r0008"

_INDEXES: Final = {
    "interactions_of_episode": ("interactions", "episode_id"),
    "signals_of_interaction": ("signals", "request_id"),
    "signals_of_episode": ("signals", "episode_id"),
}


def upgrade() -> None:
    """Comparing the tenant, too, cost every row its share; the few rows of others with the same id are passed over."""
    for name, (table, column) in _INDEXES.items():
        _replace(name, table, column, column)


def downgrade() -> None:
    """As before."""
    for name, (table, column) in _INDEXES.items():
        _replace(name, table, column, f"tenant, {column}")


def _replace(name: str, table: str, column: str, key: str) -> None:
    op.execute(f"drop index feedback.{name}")
    op.execute(f"create index {name} on feedback.{table} ({key}) where {column} <> ''")
