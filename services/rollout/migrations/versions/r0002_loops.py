"""Loops and their turns; one turn of a loop at a time, and a trigger keeps each within its state machine."""

from typing import Final

from alembic import op

revision = "r0002"
down_revision = "r0001"

_STATES: Final = "'selecting', 'training', 'rolling_out', 'promoted', 'held_back', 'taken_back', 'failed', 'cancelled'"
_OPEN: Final = "'selecting', 'training', 'rolling_out'"
_CHANGES: Final = """
    ('selecting', 'training'), ('selecting', 'failed'), ('selecting', 'cancelled'),
    ('training', 'rolling_out'), ('training', 'held_back'), ('training', 'failed'), ('training', 'cancelled'),
    ('rolling_out', 'promoted'), ('rolling_out', 'taken_back'), ('rolling_out', 'failed'),
    ('rolling_out', 'cancelled')
"""


def upgrade() -> None:
    """Make both tables and the trigger."""
    op.execute(
        """
        create table rollout.loops (
            name text primary key,
            declared text not null,
            author text not null,
            changed_ms bigint not null
        )
        """
    )
    op.execute(
        f"""
        create table rollout.turns (
            id text primary key,
            sequence bigint generated always as identity unique,
            loop text not null,
            number integer not null check (number > 0),
            state text not null check (state in ({_STATES})),
            began_ms bigint not null,
            dataset text not null default '',
            version text not null default '',
            turn text not null,
            cancel text not null default '',
            unique (loop, number)
        )
        """
    )
    op.execute(f"create unique index turns_one_per_loop on rollout.turns (loop) where state in ({_OPEN})")
    op.execute("create index turns_of_version on rollout.turns (version text_pattern_ops) where version <> ''")
    op.execute("create index turns_of_dataset on rollout.turns (dataset text_pattern_ops) where dataset <> ''")
    _guard()


def downgrade() -> None:
    """Remove them."""
    op.drop_table("turns", schema="rollout")
    op.drop_table("loops", schema="rollout")
    op.execute("drop function rollout.guard_turns()")


def _guard() -> None:
    op.execute(
        f"""
        create function rollout.guard_turns() returns trigger language plpgsql as $$ begin
            if new.state <> old.state and (old.state, new.state) not in (values {_CHANGES}) then
                raise exception 'turn % cannot become % after %', old.id, new.state, old.state
                    using errcode = 'integrity_constraint_violation';
            end if;
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger guards_turns before update of state on rollout.turns"
        " for each row execute function rollout.guard_turns()"
    )
