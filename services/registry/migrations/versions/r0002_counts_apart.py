"""What is declared and what is derived from it count apart; whole files need no row of their own any more."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "r0002"
down_revision = "r0001"

_SCHEMA: Final = "registry"


def upgrade() -> None:
    """Workers go on counting where they were: the number that was both becomes the start of each."""
    op.execute(
        "update registry.deployments set document = document || jsonb_build_object('revision', document->'generation')"
    )
    op.alter_column("deployments", "engine_generation", new_column_name="engine_revision", schema=_SCHEMA)
    op.drop_table("files", schema=_SCHEMA)


def downgrade() -> None:
    """One number again, the higher one, so that it never goes back."""
    op.execute(
        "update registry.deployments"
        " set document = (document - 'revision') || jsonb_build_object('generation', document->'revision')"
    )
    op.alter_column("deployments", "engine_revision", new_column_name="engine_generation", schema=_SCHEMA)
    op.create_table(
        "files",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("blobs", ARRAY(sa.Text), nullable=False),
        schema=_SCHEMA,
    )
