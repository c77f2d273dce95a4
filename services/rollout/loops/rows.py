"""All SQL about loops and their turns."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import TURN_ENDED, FindTurns, Loop, Turn, TurnChanged
from libs.contracts.versions import SHORT_DIGITS, parse_reference
from libs.kit import clock
from services.rollout.loops.tables import loops, turns
from services.rollout.loops.trigger import DAY_MS, Standing
from services.rollout.tables import OUTBOX

_ENDED: Final = [state.value for state in TURN_ENDED]


class Declared(NamedTuple):
    """A loop, and who declared or last changed it."""

    loop: Loop
    author: str
    changed_ms: int


class Open(NamedTuple):
    """A turn, and why it is to be called off."""

    turn: Turn
    cancel: str


async def put_loop(connection: AsyncConnection, declared: Declared) -> None:
    """Declare a loop, or declare it anew."""
    values = {
        "declared": msgspec.json.encode(declared.loop).decode(),
        "author": declared.author,
        "changed_ms": declared.changed_ms,
    }
    statement = insert(loops).values(name=declared.loop.name, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


async def find_loop(connection: AsyncConnection, name: str, *, lock: bool = False) -> Declared | None:
    """One loop; with `lock`, nobody changes it until the transaction ends."""
    query = select(loops).where(loops.c.name == name)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else _declared(row)


async def all_loops(connection: AsyncConnection) -> list[Declared]:
    """Every loop, by name."""
    return [_declared(row) for row in await connection.execute(select(loops).order_by(loops.c.name))]


async def remove_loop(connection: AsyncConnection, name: str) -> bool:
    """Forget a loop; its turns stay. Whether it was there."""
    return bool((await connection.execute(delete(loops).where(loops.c.name == name))).rowcount)


async def standing_of(connection: AsyncConnection, loop: Loop, now_ms: int) -> Standing:
    """What has happened in a loop, without its judgements; turns of a removed loop of another tenant are none of it."""
    own = (turns.c.loop == loop.name, turns.c.tenant == loop.tenant)
    newest = select(turns).where(*own).order_by(turns.c.number.desc()).limit(1)
    last = (await connection.execute(newest)).first()
    begun = await connection.execute(select(turns.c.began_ms).where(*own, turns.c.began_ms > now_ms - DAY_MS))
    return Standing(last=None if last is None else _turn(last), begun_ms=tuple(begun.scalars()))


async def next_number(connection: AsyncConnection, name: str) -> int:
    """The number of the next turn of that name, whoever had the loops of that name before."""
    highest = await connection.execute(select(func.max(turns.c.number)).where(turns.c.loop == name))
    return (highest.scalar_one() or 0) + 1


async def begin(connection: AsyncConnection, turn: Turn) -> bool:
    """Write and announce a turn; False if another has begun meanwhile."""
    values = {"id": turn.id, "loop": turn.loop, "number": turn.number, "began_ms": turn.began_ms, **_columns(turn)}
    statement = insert(turns).values(cancel="", tenant=turn.declared.tenant, **values).on_conflict_do_nothing()
    if not (await connection.execute(statement)).rowcount:
        return False
    await _announce(connection, turn)
    return True


async def write(connection: AsyncConnection, before: Open, turn: Turn) -> bool:
    """Write what became of a turn, and announce a new state; False if somebody else has changed it meanwhile."""
    statement = (
        update(turns)
        .where(turns.c.id == turn.id, turns.c.state == before.turn.state.value, turns.c.cancel == before.cancel)
        .values(**_columns(turn))
    )
    if not (await connection.execute(statement)).rowcount:
        return False
    if turn.state is not before.turn.state:
        await _announce(connection, turn)
    return True


async def call_off(connection: AsyncConnection, why: str, *, turn_id: str = "", loop: str = "") -> None:
    """Note that a turn, or whatever turn of a loop has not ended, is to be called off."""
    statement = update(turns).where(turns.c.state.not_in(_ENDED), turns.c.cancel == "")
    chosen = turns.c.id == turn_id if turn_id else turns.c.loop == loop
    await connection.execute(statement.where(chosen).values(cancel=why))


async def open_turns(connection: AsyncConnection) -> list[Open]:
    """Turns that have not ended, oldest first."""
    query = select(turns).where(turns.c.state.not_in(_ENDED)).order_by(turns.c.sequence)
    return [Open(_turn(row), row.cancel) for row in await connection.execute(query)]


async def find_turn(connection: AsyncConnection, turn_id: str) -> Open | None:
    """One turn."""
    row = (await connection.execute(select(turns).where(turns.c.id == turn_id))).first()
    return None if row is None else Open(_turn(row), row.cancel)


async def page(connection: AsyncConnection, wanted: FindTurns, before: int | None) -> list[tuple[int, Turn]]:
    """Turns with their place in the list, newest first, one more than asked for; versions by any reference."""
    query = select(turns).order_by(turns.c.sequence.desc()).limit(wanted.limit + 1)
    if wanted.tenant:
        query = query.where(turns.c.tenant == wanted.tenant)
    if wanted.loop:
        query = query.where(turns.c.loop == wanted.loop.replace("\0", "?"))
    if wanted.version:
        query = query.where(turns.c.version.startswith(_prefix(wanted.version), autoescape=True))
    if wanted.dataset:
        query = query.where(turns.c.dataset.startswith(_prefix(wanted.dataset), autoescape=True))
    if before is not None:
        query = query.where(turns.c.sequence < before)
    return [(row.sequence, _turn(row)) for row in await connection.execute(query)]


def _prefix(reference: str) -> str:
    """What short and full forms of a reference have in common."""
    parsed = parse_reference(reference)
    return f"{parsed.name}@sha256:{parsed.digest[:SHORT_DIGITS]}" if parsed.digest else reference


def _columns(turn: Turn) -> dict[str, Any]:
    return {
        "state": turn.state.value,
        "dataset": turn.dataset,
        "version": turn.version,
        "turn": msgspec.json.encode(turn).decode(),
    }


def _declared(row: Row[Any]) -> Declared:
    return Declared(msgspec.json.decode(row.declared, type=Loop), row.author, row.changed_ms)


def _turn(row: Row[Any]) -> Turn:
    return msgspec.json.decode(row.turn, type=Turn)


async def _announce(connection: AsyncConnection, turn: Turn) -> None:
    await OUTBOX.add(connection, TurnChanged(id=clock.new_event_id(), time_ms=turn.changed_ms, turn=turn))
