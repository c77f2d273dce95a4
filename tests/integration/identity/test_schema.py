"""What the database itself refuses; that its tables are the declared ones is tested for all services."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.identity.migrations import migrate


async def test_what_a_key_may_do_never_changes_and_its_end_is_for_ever(database: PostgresSettings) -> None:
    door = Database(database)
    await migrate(door)
    async with door.begin() as connection:
        await connection.execute(text(_KEY))
    for change in _FORBIDDEN:
        with pytest.raises(IntegrityError):
            async with door.begin() as connection:
                await connection.execute(text(f"update identity.keys set {change}"))  # noqa: S608 - our own words
    async with door.begin() as connection:
        await connection.execute(text("update identity.keys set expires_ms = 7, revision = 3, changed_at = 3"))
    await door.close()


async def test_keys_that_were_rotated_before_share_limits_with_the_first(database: PostgresSettings) -> None:
    door = Database(database)
    await migrate(door, "i0002")
    async with door.begin() as connection:
        for number, successor in ((1, "key_2"), (2, "key_3"), (3, ""), (4, "")):
            values = {"id": f"key_{number}", "digest": f"{number}" * 64, "next": successor, "place": number}
            await connection.execute(text(_ROTATED), values)
    await migrate(door)
    async with door.begin() as connection:
        found = (await connection.execute(text("select id, first_key from identity.keys order by id"))).all()
    await door.close()
    assert [tuple(row) for row in found] == [("key_1", ""), ("key_2", "key_1"), ("key_3", "key_1"), ("key_4", "")]


_ROTATED = """
insert into identity.keys (id, name, prefix, digest, role, scopes, models, limits, author, created_ms, expires_ms,
                           rotated_to, changed_at)
values (:id, 'n', 'llmos-', :digest, 'member', '{}', '{}', '{}', 'ann', 1, 0, :next, :place)
"""
_KEY = """
insert into identity.keys (id, name, prefix, digest, role, scopes, models, limits, author, created_ms, expires_ms,
                           revoked_ms, revision, changed_at)
values ('key_1', 'n', 'llmos-', repeat('a', 64), 'member', '{}', '{}', '{}', 'ann', 1, 0, 5, 2, 2)
"""
_FORBIDDEN = (
    "role = 'admin'",
    "digest = repeat('b', 64)",
    "scopes = '{keys:write}'",
    "models = '{other}'",
    "first_key = 'key_2'",
    "revoked_ms = 0",
    "revoked_ms = 9",
    "revision = 1",
    "changed_at = 1",
)
