"""Which key each was made of by rotating, so that limits hold for all of them together."""

from typing import Final

from alembic import op

revision = "i0003"
down_revision = "i0002"

_GUARD: Final = """
create or replace function identity.guard_keys() returns trigger language plpgsql as $$ begin
    if (new.digest, new.role, new.scopes, new.models, new.tenant{more_new}) is distinct from
       (old.digest, old.role, old.scopes, old.models, old.tenant{more_old}) then
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
"""With what else must not change, beside what no change may touch anyway."""


def upgrade() -> None:
    """Add the column, fill it from what was rotated, and let nothing change it any more."""
    op.execute("alter table identity.keys add column first_key text not null default ''")
    op.execute(
        """
        with recursive line (id, first_key) as (
            select rotated_to, id from identity.keys as old
            where rotated_to <> '' and not exists (select from identity.keys where rotated_to = old.id)
            union all
            select keys.rotated_to, line.first_key from line join identity.keys on keys.id = line.id
            where keys.rotated_to <> ''
        )
        update identity.keys set first_key = line.first_key from line where keys.id = line.id
        """
    )
    op.execute(_GUARD.format(more_new=", new.first_key", more_old=", old.first_key"))


def downgrade() -> None:
    """Remove it."""
    op.execute(_GUARD.format(more_new="", more_old=""))
    op.drop_column("keys", "first_key", schema="identity")
