"""Jobs belong to tenants; what was there is the platform's."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    """Empty is the platform."""
    op.add_column("jobs", sa.Column("tenant", sa.Text, nullable=False, server_default=""), schema="trainer")


def downgrade() -> None:
    """Everybody's jobs are the platform's again."""
    op.drop_column("jobs", "tenant", schema="trainer")
