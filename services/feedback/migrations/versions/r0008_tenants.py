"""Builds remember who ordered them; what was there is the platform's."""

import sqlalchemy as sa
from alembic import op

revision = "r0008"
down_revision = "r0007"


def upgrade() -> None:
    """Empty is the platform."""
    column = sa.Column("tenant", sa.Text, nullable=False, server_default="")
    op.add_column("dataset_jobs", column, schema="feedback")


def downgrade() -> None:
    """Forget it."""
    op.drop_column("dataset_jobs", "tenant", schema="feedback")
