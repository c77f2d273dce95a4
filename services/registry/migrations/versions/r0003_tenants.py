"""Names and versions belong to tenants; what was there is the platform's, and everybody may see it."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"

_SCHEMA: Final = "registry"
_ADDED: Final = (("names", "tenant"), ("versions", "tenant"), ("uploads", "tenant"), ("uploads", "owner"))


def upgrade() -> None:
    """Empty is the platform."""
    for table, column in _ADDED:
        op.add_column(table, sa.Column(column, sa.Text, nullable=False, server_default=""), schema=_SCHEMA)


def downgrade() -> None:
    """Everybody may see everything again."""
    for table, column in reversed(_ADDED):
        op.drop_column(table, column, schema=_SCHEMA)
