"""What was said last of how versions are judged."""

from alembic import op

revision = "r0004"
down_revision = "r0003"


def upgrade() -> None:
    """Make the tables, and an index by which it is seen that nothing has happened."""
    op.execute(
        """
        create table feedback.statistics_told (
            model_version text not null,
            tag text not null,
            said text not null,
            primary key (model_version, tag)
        )
        """
    )
    op.execute("create table feedback.statistics_counted (until_ms bigint not null)")
    op.execute("insert into feedback.statistics_counted values (0)")
    op.execute("create index signals_recorded on feedback.signals using brin (recorded_ms)")


def downgrade() -> None:
    """Remove them."""
    op.execute("drop index feedback.signals_recorded")
    op.drop_table("statistics_counted", schema="feedback")
    op.drop_table("statistics_told", schema="feedback")
