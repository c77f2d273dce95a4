"""The calls about loops and their turns."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.rollouts import (
    TURN_ENDED,
    ApplyLoop,
    FindLoops,
    FindTurns,
    LoopList,
    LoopName,
    LoopStatus,
    RolloutPlan,
    Turn,
    TurnPage,
    TurnRef,
)
from libs.contracts.versions import SHORT_DIGITS, BadReferenceError, parse_reference
from libs.kit import clock
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.serving import Operation
from services.rollout.loops import rows
from services.rollout.loops.driving import Driver
from services.rollout.loops.others import count_signals
from services.rollout.loops.trigger import keeps, waits_for
from services.rollout.loops.validating import check_loop

_MOST_TURNS: Final = 500
_MOST_ID: Final = 80
_ANY_DIGEST: Final = "0" * SHORT_DIGITS


class Loops:
    """What people do with loops; the leader's rounds do the rest."""

    def __init__(
        self,
        database: Database,
        driver: Driver,
        feedback: Caller,
        *,
        check_rollout: Callable[[RolloutPlan], None],
        wake: asyncio.Event,
    ) -> None:
        """Prepare; `check_rollout` refuses plans, `wake` is set when there may be something to drive."""
        self._database = database
        self._driver = driver
        self._feedback = feedback
        self._check_rollout = check_rollout
        self._wake = wake

    def operations(self) -> dict[str, Operation]:
        """What the contract calls each use case."""
        return {
            "loop_apply": self.apply,
            "loop_list": self.list,
            "loop_show": self.show,
            "loop_pause": self.pause,
            "loop_resume": self.resume,
            "loop_remove": self.remove,
            "loop_turn": self.turn,
            "turn_list": self.turns,
            "turn_show": self.show_turn,
            "turn_cancel": self.cancel_turn,
        }

    async def apply(self, request: ApplyLoop) -> LoopStatus:
        """Declare a loop, or declare it anew; a turn that is under way goes on as it was declared.

        Raises:
            ServiceError: what is declared is refused; `storage_unavailable`.
        """
        loop = request.loop
        check_loop(loop)
        plan = msgspec.structs.replace(loop.rollout, name=loop.model, candidate=f"{loop.model}@sha256:{_ANY_DIGEST}")
        try:
            self._check_rollout(plan)
        except ServiceError as error:
            raise ServiceError(error.code, error.message, param=f"rollout.{error.param or ''}".rstrip(".")) from error
        declared = rows.Declared(loop, request.author, clock.unix_ms())
        async with self._database.begin() as connection:
            known = await rows.find_loop(connection, loop.name, lock=True)
            if known is not None and known.loop.tenant != loop.tenant:
                raise ServiceError("conflict", f"The name {loop.name} is taken; choose another one.", param="name")
            await rows.put_loop(connection, declared)
        self._wake.set()
        return await self._status(declared)

    async def list(self, request: FindLoops) -> LoopList:
        """Every loop.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            known = await rows.all_loops(connection)
        declared = [one for one in known if request.tenant in ("", one.loop.tenant)]
        return LoopList(tuple(await asyncio.gather(*(self._status(one) for one in declared))))

    async def show(self, request: LoopName) -> LoopStatus:
        """One loop, and what it waits for.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            declared = _known(await rows.find_loop(connection, request.name), request)
        return await self._status(declared)

    async def pause(self, request: LoopName) -> LoopStatus:
        """Let a loop do nothing; what its turn has ordered goes on, but nothing follows from it.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        return await self._set_paused(request, paused=True)

    async def resume(self, request: LoopName) -> LoopStatus:
        """Let a loop go on where it was.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        return await self._set_paused(request, paused=False)

    async def remove(self, request: LoopName) -> Empty:
        """Forget a loop, and call off its turn with what it ordered; the records of its turns stay.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            _known(await rows.find_loop(connection, request.name, lock=True), request)
            await rows.remove_loop(connection, request.name)
            await rows.call_off(connection, _by("its loop was removed", request.author), loop=request.name)
        self._wake.set()
        return Empty()

    async def turn(self, request: LoopName) -> Turn:
        """Begin a turn by hand, whatever the trigger says; neither a pause nor the budget is overruled.

        Raises:
            ServiceError: `not_found`; `conflict`, there may be none now; or somebody who must be asked is away.
        """
        async with self._database.begin() as connection:
            declared = _known(await rows.find_loop(connection, request.name), request)
            standing = await rows.standing_of(connection, declared.loop, clock.unix_ms())
        if why := keeps(declared.loop, standing, clock.unix_ms()):
            raise ServiceError("conflict", f"The loop {request.name} begins no turn: {why}.", param="name")
        signals = await count_signals(self._feedback, declared.loop, standing.last)
        turn = await self._driver.begin(declared.loop, signals, author=request.author or "somebody")
        if turn is None:
            raise ServiceError("conflict", f"The loop {request.name} has changed meanwhile; look and try again.")
        self._wake.set()
        return turn

    async def turns(self, request: FindTurns) -> TurnPage:
        """Turns, newest first.

        Raises:
            ServiceError: `invalid_value`, `storage_unavailable`.
        """
        if not 1 <= request.limit <= _MOST_TURNS:
            raise ServiceError("invalid_value", f"limit must be from 1 to {_MOST_TURNS}.", param="limit")
        if request.before and not (request.before.isascii() and request.before.isdigit() and len(request.before) < 19):
            raise ServiceError("invalid_value", "before must be `next` of another page.", param="before")
        for field in ("version", "dataset"):
            _check_exact(getattr(request, field), field)
        async with self._database.begin() as connection:
            found = await rows.page(connection, request, int(request.before) if request.before else None)
        shown = found[: request.limit]
        more = len(found) > request.limit
        return TurnPage(tuple(turn for _, turn in shown), str(shown[-1][0]) if more else "")

    async def show_turn(self, request: TurnRef) -> Turn:
        """One turn.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        return (await self._find(request)).turn

    async def cancel_turn(self, request: TurnRef) -> Turn:
        """Call a turn off; it ends when what it ordered has been called off.

        Raises:
            ServiceError: `not_found`; `conflict`, it has ended; `storage_unavailable`.
        """
        known = await self._find(request)
        if known.turn.state in TURN_ENDED:
            raise ServiceError("conflict", f"{known.turn.id} is {known.turn.state.value} already.", param="id")
        async with self._database.begin() as connection:
            await rows.call_off(connection, _by("cancelled", request.author), turn_id=request.id)
        self._wake.set()
        return (await self._find(request)).turn

    async def _find(self, wanted: TurnRef) -> rows.Open:
        async with self._database.begin() as connection:
            found = await rows.find_turn(connection, wanted.id) if "\0" not in wanted.id else None
        if found is None or wanted.tenant not in ("", found.turn.declared.tenant):
            raise ServiceError("not_found", f"There is no turn {wanted.id[:_MOST_ID]!r}.", param="id")
        return found

    async def _set_paused(self, request: LoopName, *, paused: bool) -> LoopStatus:
        async with self._database.begin() as connection:
            known = _known(await rows.find_loop(connection, request.name, lock=True), request)
            loop = msgspec.structs.replace(known.loop, paused=paused)
            declared = rows.Declared(loop, request.author or known.author, clock.unix_ms())
            await rows.put_loop(connection, declared)
        self._wake.set()
        return await self._status(declared)

    async def _status(self, declared: rows.Declared) -> LoopStatus:
        now_ms = clock.unix_ms()
        async with self._database.begin() as connection:
            standing = await rows.standing_of(connection, declared.loop, now_ms)
        signals, trouble = 0, ""
        try:
            signals = await count_signals(self._feedback, declared.loop, standing.last)
        except ServiceError as error:
            trouble = f"judgements cannot be counted: {error.message}"
        return LoopStatus(
            loop=declared.loop,
            author=declared.author,
            changed_ms=declared.changed_ms,
            turn=standing.last,
            signals=signals,
            waits_for=keeps(declared.loop, standing, now_ms)
            or trouble
            or waits_for(declared.loop, replace(standing, signals=signals), now_ms),
        )


def _known(declared: rows.Declared | None, wanted: LoopName) -> rows.Declared:
    if declared is None or wanted.tenant not in ("", declared.loop.tenant):
        raise ServiceError("not_found", f"There is no loop {wanted.name[:_MOST_ID]!r}.", param="name")
    return declared


def _by(what: str, author: str) -> str:
    return f"{what} by {author}" if author else what


def _check_exact(reference: str, field: str) -> None:
    if not reference:
        return
    try:
        is_exact = bool(parse_reference(reference).digest)
    except BadReferenceError as error:
        raise ServiceError("invalid_value", str(error), param=field) from error
    if not is_exact:
        text = f"`{field}` must be exact, `<name>@sha256:<digest>`: turns do not know where aliases pointed."
        raise ServiceError("invalid_value", text, param=field)
