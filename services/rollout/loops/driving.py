"""The leader's round: each open turn does its next step, and each loop that may begin a turn begins one."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final

import structlog

from libs.contracts.datasets import BuildDataset
from libs.contracts.rollouts import Loop, Turn
from libs.contracts.training import OrderTraining
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.leader import Leader, LostError
from libs.kit.postgres import Database
from services.rollout.loops import rows, turning
from services.rollout.loops.calling_off import CallingOff
from services.rollout.loops.others import Others, count_signals, resolve
from services.rollout.loops.trigger import keeps, waits_for

log = structlog.get_logger(__name__)

_UNFINISHED: Final = (ServiceError, LostError)


class Driver:
    """Turns loops. It keeps nothing that matters: a process that is killed anywhere is replaced by another."""

    def __init__(
        self, database: Database, leader: Leader, others: Others, *, told: asyncio.Event, count_s: float
    ) -> None:
        """Prepare.

        Args:
            database: of the rollout service.
            leader: only the leading process drives.
            others: whom turns order from.
            told: set when there is an event to send.
            count_s: pause between two counts of a loop's judgements.
        """
        self._database = database
        self._leader = leader
        self._others = others
        self._calling_off = CallingOff(others)
        self._told = told
        self._count_s = count_s
        self._counted: dict[str, float] = {}

    async def round(self) -> int:
        """Do what can be done now; how many turns changed.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        if not self._leader.leads:
            return 0
        async with self._database.begin() as connection:
            declared = await rows.all_loops(connection)
            turns = await rows.open_turns(connection)
        paused = {one.loop.name for one in declared if one.loop.paused}
        busy = {one.turn.loop for one in turns}
        steps = [self._step(one) for one in turns if one.cancel or one.turn.loop not in paused]
        begins = [self._maybe_begin(one.loop) for one in declared if not one.loop.paused and one.loop.name not in busy]
        return sum(await asyncio.gather(*(_quietly(work) for work in (*steps, *begins))))

    async def begin(self, loop: Loop, signals: int, author: str = "") -> Turn | None:
        """Begin a turn; None if the loop has changed, or has begun one, meanwhile.

        Raises:
            ServiceError: the model has no champion, or somebody who must be asked is away.
            LostError: nobody asked for it by hand, and another process leads.
        """
        exact = await resolve(self._others.registry, loop)
        now_ms = clock.unix_ms()
        async with self._database.begin() as connection:
            if not author:
                await self._leader.fence(connection)
            declared = await rows.find_loop(connection, loop.name, lock=True)
            standing = await rows.standing_of(connection, loop, now_ms)
            if declared is None or declared.loop != loop or keeps(loop, standing, now_ms):
                return None
            turn = turning.begun(
                loop,
                turn_id=f"turn_{clock.new_request_id()}",
                number=await rows.next_number(connection, loop.name),
                now_ms=now_ms,
                signals=signals,
                base=exact.base,
                baseline=exact.baseline,
                author=author,
            )
            if not await rows.begin(connection, turn):
                return None
        self._told.set()
        log.info("turn begins", loop=loop.name, turn=turn.id, number=turn.number, signals=signals)
        return turn

    async def _maybe_begin(self, loop: Loop) -> int:
        async with self._database.begin() as connection:
            standing = await rows.standing_of(connection, loop, clock.unix_ms())
        # Counting costs feedback something, so all that needs no count is looked at first.
        enough = replace(standing, signals=loop.trigger.signals)
        if waits_for(loop, enough, clock.unix_ms()) or not self._may_count(loop.name):
            return 0
        signals = await count_signals(self._others.feedback, loop, standing.last)
        if waits_for(loop, replace(standing, signals=signals), clock.unix_ms()):
            return 0
        return int(await self.begin(loop, signals) is not None)

    def _may_count(self, name: str) -> bool:
        now_s = clock.monotonic_s()
        if now_s < self._counted.get(name, 0.0):
            return False
        self._counted[name] = now_s + self._count_s
        return True

    async def _step(self, before: rows.Open) -> int:
        turn, now_ms = before.turn, clock.unix_ms()
        why = before.cancel
        if not why and turning.overdue(turn, now_ms):
            why = f"it has not ended within its {turn.declared.budget.turn_s:g} s"
        after = await (self._calling_off.step(turn, why) if why else self._forward(turn))
        if after == turn:
            return 0
        async with self._database.begin() as connection:
            await self._leader.fence(connection)
            written = await rows.write(connection, before, after)
        if not written or after.state is turn.state:
            return 0
        self._told.set()
        log.info("turn moved", loop=turn.loop, turn=turn.id, state=after.state.value, reason=after.reason)
        return 1

    async def _forward(self, turn: Turn) -> Turn:
        order = turning.order_of(turn)
        try:
            if isinstance(order, BuildDataset):
                answer: turning.Answer = await self._others.feedback.call("dataset_build", order)
            elif isinstance(order, OrderTraining):
                answer = await self._others.trainer.call("training_order", order)
            else:
                answer = await self._others.rollouts.call("rollout_order", order)
        except ServiceError as error:
            log.info("order was not taken", turn=turn.id, state=turn.state.value, code=error.code, why=error.message)
            return turning.refused(turn, error, clock.unix_ms())
        return turning.answered(turn, answer, clock.unix_ms())


async def _quietly(work: Awaitable[int]) -> int:
    """What one turn or loop cannot do now must not keep the others from theirs."""
    try:
        return await work
    except _UNFINISHED as error:
        log.info("not done yet", reason=str(error))
    except Exception:
        # It is still to be done; the log must say why before it is tried again.
        log.exception("step failed")
    return 0
