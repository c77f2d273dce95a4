"""Webhooks and their deliveries; one delivery per webhook and event."""

from alembic import op

revision = "r0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.execute(
        """
        create table events.webhooks (
            id text primary key,
            sequence bigint generated always as identity unique,
            tenant text not null,
            url text not null,
            types text[] not null,
            description text not null,
            author text not null,
            created_ms bigint not null,
            is_disabled boolean not null,
            disabled_reason text not null,
            secret text not null check (secret <> ''),
            former_secret text not null,
            rotated_until_ms bigint not null,
            revision integer not null check (revision > 0)
        )
        """
    )
    op.execute("create index webhooks_of_tenant on events.webhooks (tenant, sequence)")
    op.execute(
        """
        create table events.deliveries (
            sequence bigint generated always as identity primary key,
            webhook text not null references events.webhooks (id) on delete cascade,
            event_id text not null,
            type text not null,
            body text not null,
            state text not null check (state in ('pending', 'delivered', 'dead')),
            attempts integer not null check (attempts >= 0),
            next_ms bigint not null,
            status integer not null,
            error text not null,
            created_ms bigint not null,
            changed_ms bigint not null,
            unique (webhook, event_id)
        )
        """
    )
    op.execute("create index deliveries_due on events.deliveries (webhook, next_ms) where state = 'pending'")
    op.execute("create index deliveries_of_webhook on events.deliveries (webhook, sequence)")
    op.execute("create index deliveries_over on events.deliveries (changed_ms) where state <> 'pending'")


def downgrade() -> None:
    """Remove them."""
    op.drop_table("deliveries", schema="events")
    op.drop_table("webhooks", schema="events")
