"""A key is in the answer to its making and nowhere else: not in rows, events, logs, or the process's arguments."""

import hashlib
from pathlib import Path

from sqlalchemy import text

from libs.contracts.identity import FindKeys, IssuedKey, KeyRef, RotateKey
from libs.contracts.topology import EVT_IDENTITY
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.testkit.identity import IdentityGround
from libs.testkit.streams import stream_messages
from libs.testkit.wait import eventually
from services.identity.tables import metadata


async def test_a_key_is_written_down_nowhere(ground: IdentityGround) -> None:
    async with ground.started_process(log_level="DEBUG") as process, ground.desk() as desk:
        await desk.project()
        first = await desk.key(id="key_0123456789abcdef01234567")
        second: IssuedKey = await desk.call("key_rotate", RotateKey(id=first.key.id, author="bob"))
        try:
            await desk.key(id=first.key.id)
        except ServiceError as error:
            said = error.message
        shown = [await desk.call("key_show", KeyRef(id=first.key.id)), await desk.call("key_list", FindKeys())]
        events = await eventually(lambda: _events(ground, 4), timeout_s=30, what="the events")
        rows = await _rows(ground)
        assert process.process is not None
        around = _around(process.process.pid)
    # Read when the process has ended, so that nothing of it is still on its way.
    log = process.log.read_text()

    for secret in (first.secret, second.secret):
        hidden = secret.removeprefix("llmos-")[6:]
        """All but what lists show."""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        assert digest in rows, "rows were looked at"
        for place in (rows, *events, *map(str, around), log, said, str(shown), repr(first), repr(second)):
            assert hidden not in place
        for place in (*events, log, said, str(shown)):
            assert digest not in place


def _around(pid: int) -> list[bytes]:
    """What others on the machine can read of a process."""
    return [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]


async def _events(ground: IdentityGround, count: int) -> list[str] | None:
    messages = await stream_messages(ground.nats, EVT_IDENTITY.name)
    found = [f"{message.headers} {(message.data or b'').decode()}" for message in messages]
    return found if len(found) >= count else None


async def _rows(ground: IdentityGround) -> str:
    """Everything that is in the database."""
    database = Database(ground.database)
    found = []
    async with database.begin() as connection:
        for table in metadata.sorted_tables:
            rows = await connection.execute(text(f"select row_to_json(r)::text from {table.fullname} r"))  # noqa: S608
            found += list(rows.scalars())
    await database.close()
    return "\n".join(found)
