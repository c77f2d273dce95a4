"""The chain: rows that can be added and read, and neither changed nor removed."""

from alembic import op

revision = "a0001"
down_revision = None


def upgrade() -> None:
    """Make the table, its guards, and take the right to change it from the role that owns it."""
    op.execute(
        """
        create table audit.entries (
            number bigint primary key check (number > 0),
            recorded_ms bigint not null,
            entry text not null,
            link text not null check (link ~ '^[0-9a-f]{64}$'),
            -- Made from the entry, so that a search finds what the chain holds and nothing else.
            id text not null generated always as (entry::jsonb ->> 'id') stored,
            phase text not null generated always as (entry::jsonb ->> 'phase') stored,
            time_ms bigint not null generated always as ((entry::jsonb ->> 'time_ms')::bigint) stored,
            author text not null generated always as (entry::jsonb ->> 'author') stored,
            tenant text not null generated always as (coalesce(entry::jsonb ->> 'tenant', '')) stored,
            operation text not null generated always as (entry::jsonb ->> 'operation') stored,
            object text not null generated always as (entry::jsonb ->> 'object') stored,
            unique (id, phase)
        )
        """
    )
    op.execute("create index entries_of_author on audit.entries (author, number)")
    op.execute("create index entries_of_tenant on audit.entries (tenant, number)")
    op.execute(
        """
        create function audit.refuse() returns trigger language plpgsql as $$
        begin
            raise exception 'entries of the audit are never changed or removed';
        end
        $$
        """
    )
    op.execute(
        """
        create trigger entries_stay before update or delete or truncate on audit.entries
        for each statement execute function audit.refuse()
        """
    )
    op.execute("revoke update, delete, truncate on audit.entries from public, current_user")


def downgrade() -> None:
    """Remove everything."""
    op.drop_table("entries", schema="audit")
    op.execute("drop function audit.refuse()")
