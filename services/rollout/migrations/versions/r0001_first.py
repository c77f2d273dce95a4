"""The first schema: rollouts, their changes and evidence, who leads, outbox; a trigger keeps to the state machine."""

from typing import Final

from alembic import op

revision = "r0001"
down_revision = None

_STATES: Final = (
    "'preparing', 'running', 'paused', 'promoting', 'watching', 'rolling_back', 'promoted', 'aborted', 'rolled_back'"
)
_ENDED: Final = "'promoted', 'aborted', 'rolled_back'"
_CHANGES: Final = """
    ('preparing', 'running'), ('preparing', 'promoting'), ('preparing', 'aborted'),
    ('running', 'paused'), ('running', 'promoting'), ('running', 'aborted'),
    ('paused', 'running'), ('paused', 'promoting'), ('paused', 'aborted'),
    ('promoting', 'watching'), ('promoting', 'promoted'), ('promoting', 'aborted'), ('promoting', 'rolling_back'),
    ('watching', 'promoted'), ('watching', 'rolling_back'),
    ('rolling_back', 'rolled_back'), ('rolling_back', 'aborted'),
    ('promoted', 'rolling_back')
"""
_TABLES: Final = ("outbox", "thumbs", "thresholds", "outcomes", "changes", "rollouts", "leadership")


def upgrade() -> None:
    """Make every table and the trigger."""
    _leadership()
    _rollouts()
    _evidence()
    op.execute(
        """
        create table rollout.outbox (
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
    for table in _TABLES:
        op.drop_table(table, schema="rollout")
    op.execute("drop function rollout.guard_rollouts()")


def _leadership() -> None:
    op.execute(
        """
        create table rollout.leadership (
            id smallint primary key check (id = 1),
            epoch bigint not null,
            holder text not null,
            lease_until timestamptz not null
        )
        """
    )
    op.execute("insert into rollout.leadership values (1, 0, '', to_timestamp(0))")


def _rollouts() -> None:
    op.execute(
        f"""
        create table rollout.rollouts (
            id text primary key,
            sequence bigint generated always as identity unique,
            name text not null,
            state text not null check (state in ({_STATES})),
            plan text not null,
            author text not null,
            turn text not null,
            created_ms bigint not null,
            changed_ms bigint not null,
            candidate text not null,
            baseline text not null check (baseline <> candidate),
            step integer not null default 0 check (step >= 0),
            step_began_ms bigint not null,
            decision text,
            reason text not null default '',
            settled boolean not null default false
        )
        """
    )
    op.execute(f"create unique index rollouts_one_per_name on rollout.rollouts (name) where state not in ({_ENDED})")
    op.execute(
        f"create index rollouts_unsettled on rollout.rollouts (sequence) where not settled or state not in ({_ENDED})"
    )
    op.execute(
        """
        create table rollout.changes (
            rollout text not null references rollout.rollouts (id),
            number bigint generated always as identity,
            time_ms bigint not null,
            state text not null,
            step integer not null,
            author text not null,
            reason text not null,
            decision text,
            primary key (rollout, number)
        )
        """
    )


def _evidence() -> None:
    op.execute(
        """
        create table rollout.outcomes (
            rollout text not null references rollout.rollouts (id),
            request_id text not null,
            sequence bigint generated always as identity,
            step integer not null,
            sticky text not null,
            candidate boolean not null,
            mirror boolean not null,
            stream boolean not null,
            outcome text not null check (outcome in ('ok', 'error', 'cancelled')),
            fault boolean not null,
            first_token_ms bigint not null,
            total_ms bigint not null,
            completion_tokens bigint not null,
            agreement double precision,
            time_ms bigint not null,
            primary key (rollout, request_id)
        )
        """
    )
    op.execute("create index outcomes_of_step on rollout.outcomes (rollout, step, sequence)")
    op.execute(
        """
        create table rollout.thresholds (
            rollout text not null references rollout.rollouts (id),
            step integer not null,
            guard text not null,
            low double precision not null,
            high double precision not null,
            through bigint not null,
            primary key (rollout, step, guard)
        )
        """
    )
    op.execute(
        """
        create table rollout.thumbs (
            signal_id text primary key,
            sequence bigint generated always as identity,
            request_id text not null,
            rater text not null,
            up boolean not null,
            tags text[] not null,
            time_ms bigint not null,
            heard_ms bigint not null
        )
        """
    )
    op.execute("create index thumbs_of_request on rollout.thumbs (request_id)")
    op.execute("create index thumbs_by_age on rollout.thumbs (heard_ms)")


def _guard() -> None:
    op.execute(
        f"""
        create function rollout.guard_rollouts() returns trigger language plpgsql as $$ begin
            if new.step < old.step then
                raise exception 'step % of rollout % cannot follow %', new.step, old.id, old.step
                    using errcode = 'integrity_constraint_violation';
            end if;
            if new.state <> old.state and (old.state, new.state) not in (values {_CHANGES}) then
                raise exception 'rollout % cannot become % after %', old.id, new.state, old.state
                    using errcode = 'integrity_constraint_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger guards_rollouts before update of state, step on rollout.rollouts"
        " for each row execute function rollout.guard_rollouts()"
    )
