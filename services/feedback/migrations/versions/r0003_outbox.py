"""Events on their way out are not compressed: they are read back and gone within a moment."""

from typing import Final

from alembic import op

revision = "r0003"
down_revision = "r0002"

_COLUMNS: Final = ("ids", "payloads")


def upgrade() -> None:
    """Keep their texts as they are."""
    for column in _COLUMNS:
        op.execute(f"alter table feedback.outbox alter column {column} set storage external")


def downgrade() -> None:
    """Compress them again."""
    for column in _COLUMNS:
        op.execute(f"alter table feedback.outbox alter column {column} set storage extended")
