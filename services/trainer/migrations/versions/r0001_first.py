"""The first schema: jobs, their logs, outbox; a trigger keeps every change of a job within its state machine."""

from typing import Final

from alembic import op

revision = "r0001"
down_revision = None

_STATES: Final = (
    "'queued', 'paused', 'claimed', 'running', 'publishing', 'evaluating', 'succeeded', 'failed', 'cancelled'"
)
_CHANGES: Final = """
    ('queued', 'claimed'), ('queued', 'paused'), ('queued', 'cancelled'),
    ('paused', 'queued'), ('paused', 'cancelled'),
    ('claimed', 'running'), ('claimed', 'queued'), ('claimed', 'paused'), ('claimed', 'failed'),
    ('claimed', 'cancelled'),
    ('running', 'publishing'), ('running', 'queued'), ('running', 'paused'), ('running', 'failed'),
    ('running', 'cancelled'),
    ('publishing', 'evaluating'), ('publishing', 'succeeded'), ('publishing', 'queued'), ('publishing', 'failed'),
    ('publishing', 'cancelled'),
    ('evaluating', 'succeeded'), ('evaluating', 'failed'), ('evaluating', 'cancelled')
"""


def upgrade() -> None:
    """Make every table and the trigger."""
    op.execute(
        f"""
        create table trainer.jobs (
            id text primary key,
            sequence bigint generated always as identity unique,
            kind text not null check (kind in ('training', 'evaluation')),
            state text not null check (state in ({_STATES})),
            plan text not null,
            author text not null,
            parent text not null,
            created_ms bigint not null,
            changed_ms bigint not null,
            epoch integer not null default 0,
            trainer text not null default '',
            lease_until timestamptz,
            not_before timestamptz,
            progress text not null default '{{}}',
            method text not null default '',
            checkpoint text not null default '',
            version text not null default '',
            intended text not null default '',
            report text not null default '',
            verdict text,
            metrics text not null default '{{}}',
            error_code text not null default '',
            error text not null default '',
            deaths integer not null default 0,
            death_step bigint not null default 0,
            log_lines bigint not null default 0,
            littered boolean not null default false,
            check ((lease_until is not null) = (state in ('claimed', 'running', 'publishing')))
        )
        """
    )
    op.execute("create index jobs_queued on trainer.jobs (sequence) where state = 'queued'")
    op.execute("create index jobs_held on trainer.jobs (lease_until) where lease_until is not null")
    op.execute("create index jobs_littered on trainer.jobs (sequence) where littered")
    op.execute("create index jobs_parent on trainer.jobs (parent) where parent <> ''")
    op.execute(
        """
        create table trainer.log_lines (
            job text not null references trainer.jobs (id),
            number bigint not null,
            time_ms bigint not null,
            epoch integer not null,
            text text not null,
            primary key (job, number)
        )
        """
    )
    op.execute(
        """
        create table trainer.outbox (
            sequence bigint generated always as identity primary key,
            id text not null,
            subject text not null,
            time_ms bigint not null,
            payload text not null
        )
        """
    )
    _guard()


def downgrade() -> None:
    """Remove everything."""
    for table in ("outbox", "log_lines", "jobs"):
        op.drop_table(table, schema="trainer")
    op.execute("drop function trainer.guard_jobs()")


def _guard() -> None:
    op.execute(
        f"""
        create function trainer.guard_jobs() returns trigger language plpgsql as $$ begin
            if new.epoch < old.epoch
                or (new.state = 'claimed' and old.state <> 'claimed' and new.epoch = old.epoch) then
                raise exception 'epoch % of job % cannot follow %', new.epoch, old.id, old.epoch
                    using errcode = 'integrity_constraint_violation';
            end if;
            if new.state <> old.state and (old.state, new.state) not in (values {_CHANGES}) then
                raise exception 'job % cannot become % after %', old.id, new.state, old.state
                    using errcode = 'integrity_constraint_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger guards_jobs before update of state, epoch on trainer.jobs"
        " for each row execute function trainer.guard_jobs()"
    )
