"""Keys compare by their bytes, and indexes of interactions hold no more than somebody asks them."""

from typing import Final

from alembic import op

revision = "r0005"
down_revision = "r0004"

_KEYS: Final = {
    "interactions": ("request_id", "tenant", "episode_id", "end_user"),
    "contents": ("request_id", "tenant"),
    "signals": ("tenant", "id", "request_id", "episode_id", "rater"),
    "standing": ("tenant", "target", "kind", "origin", "rater", "signal_id"),
    "inbox": ("tenant", "id"),
    "pending_signals": ("tenant", "id", "target"),
    "dead_letters": ("id",),
    "dataset_rows": ("dataset", "request_id"),
}


def upgrade() -> None:
    """Nobody sorts ids by a language's rules, which cost each comparison its share.

    A page of a list is found by tenant and time, and what is left of one moment is sorted; a data subject is looked for
    so seldom that passing over most of the table's ranges of pages is fast enough.
    """
    _collate('"C"')
    op.execute("drop index feedback.interactions_newest")
    op.execute("create index interactions_newest on feedback.interactions (tenant, time_ms)")
    op.execute("drop index feedback.interactions_of_user")
    op.execute(
        "create index interactions_of_user on feedback.interactions using brin (end_user text_bloom_ops)"
        " with (pages_per_range = 32)"
    )


def downgrade() -> None:
    """As before."""
    op.execute("drop index feedback.interactions_of_user")
    op.execute("create index interactions_of_user on feedback.interactions (tenant, end_user) where end_user <> ''")
    op.execute("drop index feedback.interactions_newest")
    op.execute("create index interactions_newest on feedback.interactions (tenant, time_ms, request_id)")
    _collate('"default"')


def _collate(collation: str) -> None:
    for table, columns in _KEYS.items():
        changes = ", ".join(f"alter column {column} type text collate {collation}" for column in columns)
        op.execute(f"alter table feedback.{table} {changes}")
