"""The first schema: head, organisations, projects, keys, usage, outbox; a trigger keeps what a key is."""

from typing import Final

from alembic import op
from sqlalchemy import text

from libs.kit import clock
from libs.kit.outbox import outbox_ddl

revision = "i0001"
down_revision = None

_TABLES: Final = ("outbox", "usage", "keys", "projects", "organisations", "head")


def upgrade() -> None:
    """Make every table and the trigger."""
    _head()
    _tenants()
    _keys()
    _usage()
    op.execute(outbox_ddl("identity"))
    _guard()


def downgrade() -> None:
    """Remove everything."""
    for table in _TABLES:
        op.drop_table(table, schema="identity")
    op.execute("drop function identity.guard_keys()")


def _head() -> None:
    op.execute(
        """
        create table identity.head (
            id smallint primary key check (id = 1),
            store text not null,
            revision bigint not null
        )
        """
    )
    begun = text("insert into identity.head values (1, :store, 0)")
    op.execute(begun.bindparams(store=clock.new_instance_id("s")))


def _tenants() -> None:
    op.execute(
        """
        create table identity.organisations (
            name text primary key,
            title text not null,
            created_ms bigint not null
        )
        """
    )
    op.execute(
        """
        create table identity.projects (
            name text primary key,
            organisation text not null references identity.organisations (name),
            title text not null,
            limits text not null,
            created_ms bigint not null,
            closed_ms bigint not null default 0,
            revision bigint not null default 1
        )
        """
    )
    op.execute("create index projects_of_organisation on identity.projects (organisation, name)")


def _keys() -> None:
    op.execute(
        """
        create table identity.keys (
            id text primary key,
            sequence bigint generated always as identity unique,
            name text not null,
            prefix text not null,
            digest text not null unique check (digest ~ '^[0-9a-f]{64}$'),
            role text not null,
            tenant text references identity.projects (name),
            scopes text[] not null,
            models text[] not null,
            limits text not null,
            author text not null,
            created_ms bigint not null,
            expires_ms bigint not null,
            revoked_ms bigint not null default 0,
            rotated_to text not null default '',
            revision bigint not null default 1,
            changed_at bigint not null
        )
        """
    )
    op.execute("create unique index keys_by_change on identity.keys (changed_at)")
    op.execute("create index keys_of_tenant on identity.keys (tenant, sequence)")


def _usage() -> None:
    op.execute(
        """
        create table identity.usage (
            day date not null,
            tenant text not null,
            key text not null,
            requests bigint not null check (requests >= 0),
            tokens bigint not null check (tokens >= 0),
            primary key (day, tenant, key)
        )
        """
    )
    op.execute("create index usage_of_tenant on identity.usage (tenant, day, key)")


def _guard() -> None:
    op.execute(
        """
        create function identity.guard_keys() returns trigger language plpgsql as $$ begin
            if (new.digest, new.role, new.scopes, new.models, new.tenant) is distinct from
               (old.digest, old.role, old.scopes, old.models, old.tenant) then
                raise exception 'what key % may do cannot change', old.id
                    using errcode = 'integrity_constraint_violation';
            end if;
            if old.revoked_ms > 0 and new.revoked_ms <> old.revoked_ms then
                raise exception 'key % is revoked for ever', old.id
                    using errcode = 'integrity_constraint_violation';
            end if;
            if new.changed_at < old.changed_at or new.revision < old.revision then
                raise exception 'revisions of key % only grow', old.id
                    using errcode = 'integrity_constraint_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger guards_keys before update on identity.keys for each row execute function identity.guard_keys()"
    )
