"""What is to be done for a rollout in each of its states, and what follows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from libs.contracts.registry import DeploymentList, FindDeployments
from libs.contracts.rollouts import Decision, RolloutState
from libs.contracts.versions import short_reference
from libs.kit import clock
from libs.kit.calls import Caller
from services.rollout.domain.deciding import decide, stand_by, watch
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.validating import CHALLENGER, LAST_GOOD
from services.rollout.repository.rollouts import plan_of
from services.rollout.running.readiness import waits_for
from services.rollout.service.aliases import Aliases


@dataclass(frozen=True)
class Then:
    """What follows a step; nothing, if it says nothing."""

    to: RolloutState | None = None
    reason: str = ""
    decision: Decision | None = None
    step: int | None = None
    """One that begins."""
    settled: bool = False


class Scene:
    """A rollout as it was read, and its surroundings."""

    def __init__(self, row: Row[Any], aliases: Aliases, registry: Caller, *, is_succeeded: bool) -> None:
        """Prepare; `is_succeeded` says that another rollout runs on the name."""
        self.row = row
        self.aliases = aliases
        self.registry = registry
        self.is_succeeded = is_succeeded
        self.state = RolloutState(row.state)
        self.plan = plan_of(row)
        self.candidate = short_reference(row.name, row.candidate)
        self.baseline = short_reference(row.name, row.baseline)
        self.alias = f"{row.name}@{self.plan.alias}"
        self.step_age_s = max(0, clock.unix_ms() - row.step_began_ms) / 1_000

    async def move(self, alias: str, *, expected: str, to: str) -> str:
        """Move an alias of the name by compare-and-swap; where it points then.

        Raises:
            ServiceError: `version_not_found`, or the registry is away.
        """
        return await self.aliases.move(self.row.name, alias, expected=expected, to=to, why=self.row.id)

    async def keep_loaded(self, found: dict[str, str]) -> None:
        """Have workers load the candidate, and keep the last good version whatever the champion is.

        Raises:
            ServiceError: as `move`.
        """
        for alias, digest in ((CHALLENGER, self.row.candidate), (LAST_GOOD, self.row.baseline)):
            if found.get(alias, "") != digest:
                await self.move(alias, expected=found.get(alias, ""), to=digest)

    def somebody_moved(self, digest: str) -> str:
        """What is said of an alias that points where neither version is expected."""
        where = f"points to {short_reference(self.row.name, digest)}" if digest else "is gone"
        return f"{self.alias} {where}: somebody moved it, and it stays so."


Look = Callable[[Scene], Awaitable[Evidence]]
Step = Callable[[Scene, Look], Awaitable[Then]]


def step_for(state: RolloutState) -> Step:
    """What is to be done in this state."""
    return _STEPS.get(state, _settle)


async def _prepare(scene: Scene, _: Look) -> Then:
    row, plan = scene.row, scene.plan
    found = await scene.aliases.of(row.name)
    champion = found.get(plan.alias, "")
    if champion != row.baseline:
        return Then(RolloutState.ABORTED, scene.somebody_moved(champion))
    await scene.keep_loaded(found)
    deployments: DeploymentList = await scene.registry.call("deployment_list", FindDeployments())
    waits = waits_for(deployments.deployments, candidate=scene.candidate, baseline=scene.baseline)
    if not waits:
        return Then(RolloutState.RUNNING, "Every ready worker has loaded the candidate.", step=0)
    if scene.step_age_s >= plan.prepare_s:
        return Then(RolloutState.ABORTED, f"After {plan.prepare_s:g} s: {waits}.")
    return Then()


async def _run(scene: Scene, look: Look) -> Then:
    row, plan = scene.row, scene.plan
    found = await scene.aliases.of(row.name)
    champion = found.get(plan.alias, "")
    if champion != row.baseline:
        return Then(RolloutState.ABORTED, scene.somebody_moved(champion))
    await scene.keep_loaded(found)
    evidence = await look(scene)
    if scene.state is RolloutState.PAUSED:
        decision = stand_by(plan, row.step, scene.step_age_s, evidence)
    else:
        decision = decide(plan, row.step, scene.step_age_s, evidence)
    if decision.action == "abort":
        return Then(RolloutState.ABORTED, decision.reason, decision)
    if decision.action == "advance":
        return Then(RolloutState.RUNNING, decision.reason, decision, step=row.step + 1)
    if decision.action == "promote":
        return Then(RolloutState.PROMOTING, decision.reason, decision)
    return Then()


async def _promote(scene: Scene, _: Look) -> Then:
    row, plan = scene.row, scene.plan
    champion = await scene.move(plan.alias, expected=row.baseline, to=row.candidate)
    if champion != row.candidate:
        return Then(RolloutState.ABORTED, scene.somebody_moved(champion))
    if plan.watch_s == 0 or plan.holdback == 0:
        return Then(RolloutState.PROMOTED, row.reason)
    return Then(RolloutState.WATCHING, row.reason, step=len(plan.steps))


async def _watch(scene: Scene, look: Look) -> Then:
    row, plan = scene.row, scene.plan
    found = await scene.aliases.of(row.name)
    champion = found.get(plan.alias, "")
    if champion != row.candidate:
        return Then(RolloutState.ROLLING_BACK, scene.somebody_moved(champion))
    await scene.keep_loaded(found)
    decision = watch(plan, scene.step_age_s, await look(scene))
    if decision.action == "abort":
        return Then(RolloutState.ROLLING_BACK, decision.reason, decision)
    if decision.action == "promote":
        return Then(RolloutState.PROMOTED, decision.reason, decision)
    return Then()


async def _roll_back(scene: Scene, _: Look) -> Then:
    row = scene.row
    champion = await scene.move(scene.plan.alias, expected=row.candidate, to=row.baseline)
    if champion != row.baseline:
        return Then(RolloutState.ABORTED, scene.somebody_moved(champion))
    return Then(RolloutState.ROLLED_BACK, row.reason)


async def _settle(scene: Scene, _: Look) -> Then:
    row = scene.row
    if scene.is_succeeded:
        # They are the successor's by now; what it leaves of them is looked at when it has ended.
        return Then()
    found = await scene.aliases.of(row.name)
    for alias, digest in ((CHALLENGER, row.candidate), (LAST_GOOD, row.baseline)):
        if found.get(alias) == digest:
            await scene.move(alias, expected=digest, to="")
    return Then(settled=True)


_STEPS: Final[dict[RolloutState, Step]] = {
    RolloutState.PREPARING: _prepare,
    RolloutState.RUNNING: _run,
    RolloutState.PAUSED: _run,
    RolloutState.PROMOTING: _promote,
    RolloutState.WATCHING: _watch,
    RolloutState.ROLLING_BACK: _roll_back,
}
