"""What the roles that the stack makes can do: the service adds and reads, the owner is stopped by the trigger."""

import asyncio

import asyncpg  # type: ignore[import-untyped] # it ships no types
import pytest

from deploy.local.parts import postgres
from deploy.local.ports import HOST
from deploy.local.postgres_setup import set_up
from libs.kit.errors import ServiceError
from libs.testkit.audit import AuditDesk, AuditGround, entry
from libs.testkit.service_process import ServiceProcess
from libs.testkit.wait import eventually
from services.audit.app import build_app
from tests.integration.audit.damage import DAMAGES, REORDER, connected, superuser

BEYOND = (
    *(damage.format(n=2) for damage in DAMAGES.values()),
    *(step.format(n=2, m=3) for step in REORDER),
    "alter table audit.entries disable trigger all",
    "alter table audit.entries disable trigger entries_stay",
    "alter table audit.entries drop constraint entries_number_check",
    "alter table audit.entries owner to {writer}",
    "drop trigger entries_stay on audit.entries",
    "drop function audit.refuse() cascade",
    "create or replace function audit.refuse() returns trigger language plpgsql as 'begin return null; end'",
    "create rule gone as on insert to audit.entries do instead nothing",
    "drop table audit.entries",
    "drop schema audit cascade",
    "create table audit.more (number bigint)",
    "create schema other",
    "update audit.alembic_version set version_num = 'base'",
    "grant update, delete, truncate, trigger on audit.entries to {writer}",
    "set session_replication_role = replica",
    "set role {owner}",
    "drop owned by {owner}",
    "drop database {database}",
    "alter database {database} owner to {writer}",
)


async def filled(desk: AuditDesk, count: int) -> None:
    await desk.write(*(entry(number) for number in range(count)))

    async def all_there() -> bool | None:
        return await desk.count() == count or None

    await eventually(all_there, timeout_s=60)


async def test_the_service_own_role_can_add_and_read_and_nothing_else(ground: AuditGround, desk: AuditDesk) -> None:
    await filled(desk, 3)
    names = {"writer": ground.writer.user, "owner": ground.owner.user, "database": ground.database.database}
    done = []
    async with connected(ground.writer) as connection:
        assert await connection.fetchval("select count(*) from audit.entries") == 3
        for statement in BEYOND:
            try:
                await connection.execute(statement.format(**names))
            except asyncpg.InsufficientPrivilegeError:
                continue
            # What says nothing of rights changed nothing either, or is found below.
            done.append(statement)
    # PostgreSQL warns, and grants nothing, where somebody grants what he has no right to grant.
    assert [each for each in done if not each.startswith("grant")] == []
    async with superuser(ground) as connection:
        rights = [
            right for right in ("select", "insert", "update", "delete", "truncate", "references", "trigger")
            if await connection.fetchval(f"select has_table_privilege($1, 'audit.entries', '{right}')", names["writer"])
        ]  # fmt: skip
    assert rights == ["select", "insert"]
    assert await desk.faults() == []


async def test_the_trigger_stops_even_the_owner(ground: AuditGround, desk: AuditDesk) -> None:
    await filled(desk, 3)
    async with connected(ground.owner) as connection:
        await connection.execute("grant update, delete, truncate on audit.entries to current_user")
        for damage in DAMAGES.values():
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await connection.execute(damage.format(n=2))
    assert await desk.faults() == []


async def test_the_service_waits_for_tables_that_it_cannot_make(ground: AuditGround) -> None:
    await ground.prepare()
    async with superuser(ground) as connection:
        await connection.execute("drop schema audit cascade")
    app = build_app(ground.settings(start_timeout_s=0.5))
    try:
        with pytest.raises(ServiceError, match=r"services\.audit\.migrations"):
            await app.start()
    finally:
        await app.stop()


async def test_the_command_makes_the_tables_and_again_changes_nothing(ground: AuditGround) -> None:
    await ground.prepare()
    async with superuser(ground) as connection:
        await connection.execute("drop schema audit cascade")
    environment = ground.postgres.environment("AUDIT_OWNER_DATABASE__", ground.owner)
    making = ServiceProcess("audit", ground.directory, environment)
    for _ in range(2):
        making.spawn("services.audit.migrations")
        assert making.process is not None
        assert await asyncio.to_thread(making.process.wait, 120) == 0, making.log.read_text()
    assert "may add and read rows" in making.log.read_text()
    async with ground.service(), ground.desk() as desk:
        await filled(desk, 2)


async def test_the_command_says_what_is_wrong(ground: AuditGround) -> None:
    wrong = {
        **ground.postgres.environment("AUDIT_OWNER_DATABASE__", ground.owner),
        "AUDIT_OWNER_DATABASE__PORT": "1",
        "AUDIT_OWNER_START_TIMEOUT_S": "0.1",
    }
    nobody = {**wrong, "AUDIT_OWNER_WRITER": ""}
    for environment, status, said in ((wrong, 1, "does not answer"), (nobody, 2, "AUDIT_OWNER_WRITER")):
        process = ServiceProcess("audit", ground.directory, environment)
        process.spawn("services.audit.migrations")
        assert process.process is not None
        assert await asyncio.to_thread(process.process.wait, 120) == status
        assert said in process.log.read_text()


async def test_a_database_that_the_service_made_itself_is_handed_over(ground: AuditGround) -> None:
    await ground.prepare()
    writer, owner, home = ground.writer.user, ground.owner.user, ground.postgres.home
    await ground.postgres.execute(f"alter database {ground.database.database} owner to {writer}")
    async with connected(ground.writer) as before:
        await before.execute("create schema old; create table old.kept (n int)")
    passwords = {role: home.secret(postgres.secret_name(role)) for role in (writer, owner)}

    await set_up(f"{HOST}:{ground.database.port}", home.secret(postgres.SECRET_NAME), passwords)

    async with connected(ground.owner) as after:
        assert await after.fetchval("select tableowner from pg_tables where tablename = 'kept'") == owner
        query = "select pg_get_userbyid(datdba) from pg_database where datname = $1"
        assert await after.fetchval(query, ground.database.database) == owner
