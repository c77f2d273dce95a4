"""What keeps one rollout from going on, on a real PostgreSQL: it is told once, waits, and keeps no other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from libs.contracts.registry import (
    Alias,
    AliasList,
    DeployedVersion,
    Deployment,
    DeploymentList,
    DeploymentStatus,
    WorkerStatus,
)
from libs.contracts.rollouts import RolloutPlan, RolloutState
from libs.contracts.versions import parse_reference, short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.leader import Leader
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.wait import eventually
from services.rollout.ground import Ground
from services.rollout.migrations import migrate
from services.rollout.repository import rollouts
from services.rollout.running.carrying import Carrying
from services.rollout.settings import Settings

CANDIDATE, BASELINE = "c" * 64, "b" * 64
AWAY = ServiceError("registry_unavailable", "Nobody is there.")


class Registry:
    """Aliases, and workers that have loaded everything; what is in `fails` is raised for that name."""

    def __init__(self) -> None:
        self.aliases: dict[str, dict[str, str]] = {}
        self.fails: dict[str, Exception] = {}
        self.before: Callable[[], Awaitable[None]] | None = None
        """Done once, at the next call."""

    async def call(self, operation: str, request: Any) -> Any:
        """As the registry would answer."""
        if self.before is not None:
            now, self.before = self.before, None
            await now()
        if operation == "deployment_list":
            return DeploymentList(tuple(self._pool(name) for name in self.aliases))
        if error := self.fails.get(request.name):
            raise error
        found = self.aliases.setdefault(request.name, {"champion": BASELINE})
        if operation == "alias_list":
            return AliasList(tuple(_alias(request.name, *one) for one in found.items()))
        assert operation == "alias_set"
        if found.get(request.alias, "") != request.expected:
            raise ServiceError("conflict", "Somebody was faster.")
        found[request.alias] = parse_reference(request.target).digest if request.target else ""
        return _alias(request.name, request.alias, found[request.alias])

    def _pool(self, name: str) -> DeploymentStatus:
        versions = [short_reference(name, digest) for digest in (BASELINE, CANDIDATE)]
        told = [DeployedVersion(reference=one, digest="") for one in versions]
        deployment = Deployment(pool=name, generation=1, revision=1, base=told[0], adapters=tuple(told[1:]))
        worker = WorkerStatus(worker="w", name="w", state="ready", revision=1, models=tuple(versions))
        return DeploymentStatus(deployment=deployment, workers=(worker,))


def _alias(name: str, alias: str, digest: str) -> Alias:
    return Alias(name=name, alias=alias, digest=digest, generation=1, author="ann", moved_ms=1)


class Scene:
    """One leading process, and rollouts on names of its own."""

    def __init__(self, database: Database, leader: Leader) -> None:
        self.registry = Registry()
        self.database = database
        self.leader = leader
        settings = Settings.model_construct()
        self.carrying = Carrying(
            Ground(
                instance="o",
                settings=settings,
                database=database,
                leader=leader,
                registry=self.registry,
                feedback=self.registry,
                trainer=self.registry,
            )
        )

    async def begin(self, name: str, state: RolloutState = RolloutState.PREPARING, number: int = 0) -> str:
        """A rollout in this state."""
        ident = f"roll_{name}{number}"
        plan = RolloutPlan(name=name, candidate=short_reference(name, CANDIDATE))
        now_ms = clock.unix_ms()
        values = {
            "id": ident, "name": name, "state": RolloutState.PREPARING.value, "author": "ann", "turn": "",
            "plan": msgspec.json.encode(plan).decode(), "created_ms": now_ms, "changed_ms": now_ms,
            "candidate": CANDIDATE, "baseline": BASELINE, "step_began_ms": now_ms,
        }  # fmt: skip
        async with self.database.begin() as connection:
            assert await rollouts.add(connection, values)
        for one in _way(state):
            await self.put(ident, one)
        return ident

    async def put(self, ident: str, state: RolloutState) -> None:
        """As a person would."""
        async with self.database.begin() as connection:
            row = await rollouts.find(connection, ident, lock=True)
            assert row is not None
            await rollouts.put(connection, row, state, author="bob")

    async def state(self, ident: str) -> RolloutState:
        """As it is."""
        async with self.database.begin() as connection:
            row = await rollouts.find(connection, ident)
            assert row is not None
            return RolloutState(row.state)

    async def unsettled(self) -> list[str]:
        """Those that are still looked at."""
        async with self.database.begin() as connection:
            return [row.id for row in await rollouts.unsettled(connection)]


def _way(state: RolloutState) -> list[RolloutState]:
    """From being prepared to there."""
    ways = {
        RolloutState.PREPARING: [],
        RolloutState.ABORTED: [RolloutState.ABORTED],
        RolloutState.RUNNING: [RolloutState.RUNNING],
        RolloutState.WATCHING: [RolloutState.PROMOTING, RolloutState.WATCHING],
        RolloutState.ROLLING_BACK: [RolloutState.PROMOTING, RolloutState.ROLLING_BACK],
    }
    return ways[state]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(database: PostgresSettings) -> AsyncIterator[Scene]:
    door = Database(database)
    await migrate(door)
    leader = Leader(door, "o1", schema="rollout", lease_s=600.0)
    await leader.check()
    yield Scene(door, leader)
    await door.close()


@pytest.mark.parametrize("error", [AWAY, KeyError("nobody expected that")])
async def test_what_keeps_one_from_going_on_does_not_keep_the_others(scene: Scene, error: Exception) -> None:
    first, second = await scene.begin("anna"), await scene.begin("berta")
    scene.registry.fails = {"anna": error}
    assert await scene.carrying.look() == 1
    assert (await scene.state(first), await scene.state(second)) == (RolloutState.PREPARING, RolloutState.RUNNING)
    scene.registry.fails = {}
    await scene.carrying.look()
    assert await scene.state(first) is RolloutState.RUNNING


async def test_a_trouble_that_lasts_is_told_once_and_again_when_it_comes_back(scene: Scene) -> None:
    await scene.begin("anna")

    async def told() -> list[str]:
        with capture_logs() as logs:
            await scene.carrying.look()
        return [f"{one['event']}: {one['code']}" for one in logs if one["event"] == "rollout waits"]

    scene.registry.fails = {"anna": AWAY}
    assert await told() == ["rollout waits: registry_unavailable"]
    assert await told() == []
    scene.registry.fails = {"anna": ServiceError("deadline_exceeded", "It is slow.")}
    assert await told() == ["rollout waits: deadline_exceeded"], "another trouble is news"
    scene.registry.fails = {}
    await scene.carrying.look()
    scene.registry.fails = {"anna": ServiceError("deadline_exceeded", "It is slow.")}
    assert await told() == ["rollout waits: deadline_exceeded"], "and so is one that was over"


async def test_without_a_database_the_look_is_over_and_says_so(scene: Scene) -> None:
    await scene.begin("anna")
    scene.registry.fails = {"anna": ServiceError("storage_unavailable", "PostgreSQL is away.")}
    with pytest.raises(ServiceError, match="PostgreSQL is away"):
        await scene.carrying.look()


async def test_who_has_lost_the_lead_meanwhile_writes_nothing(scene: Scene) -> None:
    ident = await scene.begin("anna")
    other = Leader(scene.database, "o2", schema="rollout", lease_s=600.0)

    async def is_succeeded() -> None:
        epoch = scene.leader.epoch
        await scene.leader.resign()
        await other.check()
        assert other.epoch > epoch
        # As one that was stopped and does not know.
        scene.leader._until_s = clock.monotonic_s() + 600.0

    scene.registry.before = is_succeeded
    with capture_logs() as logs:
        assert await scene.carrying.look() == 0
    assert await scene.state(ident) is RolloutState.PREPARING
    assert "another process leads" in [one["event"] for one in logs]
    scene.leader._until_s = 0.0
    scene.registry.fails = {"anna": AssertionError("nobody is asked by one who does not lead")}
    assert await scene.carrying.look() == 0


async def test_what_a_person_wanted_meanwhile_stays(scene: Scene) -> None:
    ident = await scene.begin("anna")
    scene.registry.before = lambda: scene.put(ident, RolloutState.ABORTED)
    assert await scene.carrying.look() == 1, "so that it is looked at again at once"
    assert await scene.state(ident) is RolloutState.ABORTED


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (RolloutState.PREPARING, RolloutState.ABORTED),
        (RolloutState.RUNNING, RolloutState.ABORTED),
        (RolloutState.ROLLING_BACK, RolloutState.ABORTED),
        (RolloutState.WATCHING, RolloutState.WATCHING),
    ],
)
async def test_a_version_that_is_gone_ends_what_may_be_aborted(
    scene: Scene, state: RolloutState, after: RolloutState
) -> None:
    ident = await scene.begin("anna", state)
    scene.registry.fails = {"anna": ServiceError("version_not_found", "There is no such version.")}
    await scene.carrying.look()
    assert await scene.state(ident) is after


async def test_an_ended_rollout_leaves_its_aliases_to_the_one_that_runs_and_tidies_them_afterwards(
    scene: Scene,
) -> None:
    ended = await scene.begin("anna", RolloutState.ABORTED)
    scene.registry.aliases["anna"] = {"champion": BASELINE, "challenger": CANDIDATE, "last-good": BASELINE}
    # Of the same candidate, so that only whose they are can tell.
    runs = await scene.begin("anna", number=1)
    for _ in range(3):
        await scene.carrying.look()
        assert scene.registry.aliases["anna"] == {
            "champion": BASELINE, "challenger": CANDIDATE, "last-good": BASELINE,
        }  # fmt: skip
    assert await scene.state(runs) is RolloutState.RUNNING
    assert await scene.unsettled() == [ended, runs]
    await scene.put(runs, RolloutState.ABORTED)

    async def is_settled() -> bool | None:
        await scene.carrying.look()
        return not await scene.unsettled() or None

    # The one that ran rests after each look, for a while that depends on how long it took.
    await eventually(is_settled, timeout_s=60.0, what="both are settled")
    assert scene.registry.aliases["anna"] == {"champion": BASELINE, "challenger": "", "last-good": ""}


async def test_an_ended_rollout_leaves_what_another_one_has_put_there(scene: Scene) -> None:
    await scene.begin("anna", RolloutState.ABORTED)
    scene.registry.aliases["anna"] = {"champion": BASELINE, "challenger": "d" * 64, "last-good": BASELINE}
    await scene.carrying.look()
    assert scene.registry.aliases["anna"]["challenger"] == "d" * 64
    assert await scene.unsettled() == []
