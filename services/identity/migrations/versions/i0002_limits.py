"""What gateways may use of limits: who grants it, what is out, which usage was told."""

from alembic import op

revision = "i0002"
down_revision = "i0001"


def upgrade() -> None:
    """Make the tables; nothing has led yet."""
    op.execute(
        """
        create table identity.leadership (
            id smallint primary key check (id = 1),
            epoch bigint not null,
            holder text not null,
            lease_until timestamptz not null
        )
        """
    )
    op.execute("insert into identity.leadership values (1, 0, '', clock_timestamp())")
    op.execute(
        """
        create table identity.shares (
            holder text primary key,
            period text not null,
            requests bigint not null check (requests >= 0),
            tokens bigint not null check (tokens >= 0),
            slots bigint not null check (slots >= 0),
            budget_tokens bigint not null check (budget_tokens >= 0)
        )
        """
    )
    op.execute(
        """
        create table identity.usage_numbers (
            gateway text primary key,
            number bigint not null,
            time_ms bigint not null
        )
        """
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("usage_numbers", "shares", "leadership"):
        op.drop_table(table, schema="identity")
