"""Builds of data sets: what was ordered, how far it is, and what came of it."""

from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    """Make the table of builds."""
    op.execute(
        """
        create table feedback.dataset_jobs (
            id text primary key,
            sequence bigint generated always as identity unique,
            state text not null
                check (state in ('queued', 'running', 'publishing', 'succeeded', 'failed', 'cancelled')),
            selection text not null,
            author text not null,
            dry_run boolean not null,
            created_ms bigint not null,
            rows_read bigint not null default 0,
            rows_total bigint not null default 0,
            counts text not null default '{}',
            reference text not null default '',
            digest text not null default '',
            error text not null default ''
        )
        """
    )
    op.execute(
        "create index dataset_jobs_unfinished on feedback.dataset_jobs (sequence)"
        " where state in ('queued', 'running', 'publishing')"
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("dataset_jobs", schema="feedback")
