"""Random histories of deploys, orders, promotions, rollbacks and hands on the alias, many at once, under two processes.

Afterwards model and world agree: every rollout has ended as its history says, moved the alias as often as that takes,
and said every change once; the alias is where the last of them, or somebody's hand, has put it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from libs.contracts import subjects
from libs.contracts.registry import Alias, AliasList, Deploy, ListAliases, Version
from libs.contracts.rollouts import (
    ROLLOUT_ENDED,
    ROLLOUT_TRANSITIONS,
    FindRollouts,
    Rollout,
    RolloutChange,
    RolloutChanged,
    RolloutState,
    Step,
)
from libs.contracts.versions import full_reference, short_reference
from libs.kit.bus import Message
from libs.kit.errors import ServiceError
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.wait import eventually, until
from services.rollout.app import RolloutService
from tests.integration.rollout.world import NAME, PLAN, World

CALM = msgspec.structs.replace(PLAN, steps=(Step(share=0.3, min_s=3_600),), watch_s=3_600.0)
VERBS = ("pause", "resume", "promote", "promote", "abort", "roll_back")
WORDS = st.tuples(st.sampled_from(VERBS), st.integers(0, 2))
ORDERS = st.tuples(st.just("order"), st.integers(0, 2))
DEPLOYS = st.tuples(st.just("deploy"), st.integers(1, 9))
LEADS = st.tuples(st.just("lead"), st.just(0))
HANDS = st.tuples(st.just("hand"), st.integers(0, 2))
ACTIONS = st.one_of(ORDERS, ORDERS, WORDS, WORDS, WORDS, DEPLOYS, LEADS)
EXPECTED = {"conflict", "not_found", "invalid_value", "version_not_found"}
AT_ONCE = 6
ROUNDS = 5
EXAMPLES = 17


@dataclass
class Walk:
    """One random history, and what came of it."""

    desk: RolloutDesk
    around: World
    services: Sequence[RolloutService]
    versions: Sequence[Version]
    done: int = 0
    known: set[str] = field(default_factory=set)
    """Rollouts of walks before."""
    said: dict[str, dict[str, RolloutChanged]] = field(default_factory=lambda: defaultdict(dict))

    def hear(self, message: Message) -> None:
        """Note an event; sent again, it has the same id."""
        event = msgspec.json.decode(message.payload, type=RolloutChanged)
        self.said[event.rollout.id].setdefault(event.id, event)

    async def act(self, action: str, what: int) -> None:
        """Do one thing; what cannot be done now is refused with a typed fault."""
        self.done += 1
        try:
            await self._act(action, what)
        except ServiceError as error:
            if error.code not in EXPECTED:
                raise

    async def _act(self, action: str, what: int) -> None:
        version = self.versions[what % len(self.versions)]
        if action == "order":
            watch_s = 0.0 if what == 0 else CALM.watch_s
            await self.desk.order(msgspec.structs.replace(CALM, candidate=version.reference, watch_s=watch_s))
        elif action == "deploy":
            base = full_reference(NAME, self.around.base.digest)
            await self.around.models.call(
                "deployment_declare", Deploy(pool="default", base=base, author="ann", replicas=what)
            )
        elif action == "hand":
            await self.around.point("champion", version)
        elif action == "lead":
            for service in self.services:
                await service.leader.resign()
        else:
            found = await self.all()
            if found:
                await self.desk.do(action, found[what % len(found)].id)

    async def all(self) -> list[Rollout]:
        """Rollouts of this walk, newest first."""
        page = await self.desk.call("rollout_list", FindRollouts(limit=200))
        return [one for one in page.rollouts if one.id not in self.known]

    async def end(self) -> list[Rollout]:
        """Take back what still runs; every rollout when all are over."""

        async def over() -> list[Rollout] | None:
            found = await self.all()
            for one in found:
                if one.state not in ROLLOUT_ENDED:
                    await self.act("abort", found.index(one))
            tidy = set(await self.around.aliases()) == {"champion"}
            return found if tidy and all(one.state in ROLLOUT_ENDED for one in found) else None

        return await eventually(over, timeout_s=120, what="the end of all")


async def _check(walk: Walk, before: Sequence[Alias], *, with_hands: bool) -> None:
    found = await walk.end()
    moves = (await _moves(walk.around))[len(before) :]
    changes: list[str] = []
    for one in found:
        history = (await walk.desk.show(one.id)).history
        _check_history(one, history)
        expected = [(change.state, change.step) for change in history]

        def is_said(rollout_id: str = one.id, count: int = len(expected)) -> bool:
            return len(walk.said[rollout_id]) >= count

        await until(is_said, timeout_s=30, what="the events")
        assert [(event.rollout.state, event.rollout.step) for event in walk.said[one.id].values()] == expected
        own = [move.digest for move in moves if move.reason == one.id]
        assert len(own) == len(set(own)), "no alias is moved twice to the same version by one rollout"
        if not with_hands:
            _check_moves(one, own)
        changes += own
    if not with_hands:
        assert sorted(changes) == sorted(move.digest for move in moves), "nobody else moved it"
    last = moves[-1].digest if moves else before[-1].digest
    assert (await walk.around.aliases())["champion"] == last


def _check_history(one: Rollout, history: Sequence[RolloutChange]) -> None:
    assert history[0].state is RolloutState.PREPARING
    assert history[-1].state is one.state
    for earlier, later in pairwise(history):
        assert later.state in ROLLOUT_TRANSITIONS[earlier.state] or earlier.state is later.state
        assert later.time_ms >= earlier.time_ms


def _check_moves(one: Rollout, own: Sequence[str]) -> None:
    moved = [short_reference(NAME, digest) for digest in own]
    if one.state is RolloutState.PROMOTED:
        assert moved == [one.candidate]
    elif one.state is RolloutState.ROLLED_BACK:
        assert moved in ([], [one.candidate, one.baseline])
    else:
        assert moved == []


async def _moves(around: World) -> Sequence[Alias]:
    found: AliasList = await around.models.call("alias_list", ListAliases(NAME, history_of="champion"))
    return found.aliases[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("with_hands", [False, True], ids=["nobody else", "somebody's hands"])
async def test_model_and_world_agree_after_hundreds_of_deploys_promotions_and_rollbacks(
    with_hands: bool, ground: RolloutGround, desk: RolloutDesk, around: World
) -> None:
    third = await around.publish(ground.directory, 3)
    actions = st.one_of(ACTIONS, HANDS) if with_hands else ACTIONS
    rounds = st.lists(st.lists(actions, min_size=AT_ONCE, max_size=AT_ONCE), min_size=ROUNDS, max_size=ROUNDS)
    loop = asyncio.get_running_loop()
    async with ground.service(lease_s=1.0) as one, ground.service(lease_s=1.0) as other:
        walk = Walk(desk, around, (one, other), (around.champion, around.candidate, third))
        desk.bus.subscribe(subjects.ROLLOUT_CHANGED, walk.hear)

        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
            database=None, phases=[Phase.generate],
        )  # fmt: skip
        @given(rounds=rounds)
        def run(rounds: list[list[tuple[str, int]]]) -> None:
            asyncio.run_coroutine_threadsafe(_run(walk, rounds, with_hands=with_hands), loop).result(600)

        await asyncio.to_thread(run)
        assert walk.done >= EXAMPLES * ROUNDS * AT_ONCE
        await until(lambda: around.traffic.splits == (), timeout_s=30)
        numbers = [(splits.epoch, splits.sequence) for splits in around.traffic.heard]
        assert numbers == sorted(set(numbers))
        assert all(len(splits.splits) <= 1 for splits in around.traffic.heard), "one rollout on a name"


async def _run(walk: Walk, rounds: list[list[tuple[str, int]]], *, with_hands: bool) -> None:
    before = await _moves(walk.around)
    for together in rounds:
        await asyncio.gather(*(walk.act(action, what) for action, what in together))
    await _check(walk, before, with_hands=with_hands)
    walk.known |= {one.id for one in await walk.all()}
