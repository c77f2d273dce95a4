"""A row of the outbox holds its events as lines of a text."""

from typing import Final

from alembic import op

revision = "r0007"
down_revision = "r0006"

_COLUMNS: Final = ("ids", "payloads")


def upgrade() -> None:
    """Neither ids nor JSON hold a line break; texts are kept uncompressed as before."""
    for column in _COLUMNS:
        op.execute(
            f"alter table feedback.outbox alter column {column} type text using array_to_string({column}, E'\\n'),"
            f" alter column {column} set storage external"
        )


def downgrade() -> None:
    """As before."""
    for column in _COLUMNS:
        op.execute(
            f"alter table feedback.outbox alter column {column} type text[] using string_to_array({column}, E'\\n'),"
            f" alter column {column} set storage external"
        )
