"""Rollouts and turns belong to tenants; what was there is the platform's. A loop says itself whose it is."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"

_TABLES: Final = ("rollouts", "turns")


def upgrade() -> None:
    """Empty is the platform."""
    for table in _TABLES:
        op.add_column(table, sa.Column("tenant", sa.Text, nullable=False, server_default=""), schema="rollout")


def downgrade() -> None:
    """All of it is the platform's again."""
    for table in reversed(_TABLES):
        op.drop_column(table, "tenant", schema="rollout")
