"""Dead letters have numbers, by which operators name them, and the ids by which the bus knew them."""

import sqlalchemy as sa
from alembic import op

revision = "r0010"
down_revision = "r0009"


def upgrade() -> None:
    """What is there is numbered, too; by which ids the bus knew it was not kept."""
    op.execute("alter table feedback.dead_letters add column place bigint generated always as identity")
    column = sa.Column("message_id", sa.Text, nullable=False, server_default="")
    op.add_column("dead_letters", column, schema="feedback")
    op.execute("create unique index dead_letters_places on feedback.dead_letters (place)")


def downgrade() -> None:
    """Forget them."""
    op.drop_column("dead_letters", "message_id", schema="feedback")
    op.drop_column("dead_letters", "place", schema="feedback")
