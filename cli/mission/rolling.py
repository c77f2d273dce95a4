"""A rollout while customers keep asking: followed step by step, to the promotion or to the stop."""

from typing import Final

from cli.mission import plans
from cli.mission.ledger import Act, Span
from cli.mission.scene import Scene
from cli.mission.view import Bar
from deploy.local.errors import StackError
from libs.contracts.rollouts import ROLLOUT_ENDED, Guard, Rollout, RolloutState, RolloutStatus
from libs.contracts.versions import parse_reference, short_reference

_SAID: Final = {
    RolloutState.PREPARING: "workers load it",
    RolloutState.PAUSED: "paused",
    RolloutState.PROMOTING: "the name moves",
    RolloutState.WATCHING: "champion, and still watched",
    RolloutState.ROLLING_BACK: "the name moves back",
    RolloutState.PROMOTED: "champion",
    RolloutState.ABORTED: "stopped",
    RolloutState.ROLLED_BACK: "rolled back",
}


class Follower:
    """Tells of every change of a rollout, and keeps when each step was."""

    def __init__(self, scene: Scene, bar: Bar, act: Act) -> None:
        self._scene, self._bar, self._act = scene, bar, act
        self._where, self._since_s = "", scene.ledger.now_s

    def see(self, status: RolloutStatus) -> None:
        """One look at it."""
        rollout = status.rollout
        where = described(rollout)
        if where != self._where:
            self._changed(where)
        waits = status.now.reason if status.now is not None else rollout.reason
        over = rollout.state in (*ROLLOUT_ENDED, RolloutState.WATCHING)
        steps = len(rollout.plan.steps)
        self._bar.show(steps if over else rollout.step, steps, f"{where}: {waits}" if waits else where)

    def end(self) -> None:
        """What was last is over."""
        self._changed("")

    def _changed(self, where: str) -> None:
        if self._where:
            self._act.spans.append(Span(self._where, self._since_s, self._scene.ledger.now_s))
        if where:
            self._scene.view.line(where)
        self._where, self._since_s = where, self._scene.ledger.now_s


def described(rollout: Rollout) -> str:
    """Where a rollout is, in two words."""
    if rollout.state is RolloutState.RUNNING:
        step = rollout.plan.steps[rollout.step]
        return f"{'shadow' if step.shadow else 'canary'} {100 * step.share:.0f} %"
    return _SAID[rollout.state]


async def roll_out(scene: Scene, act: Act, version: str, seed: int) -> RolloutStatus:
    """The rollout of a version under live traffic, when it has ended."""
    scene.ledger.acts.append(act)
    with scene.view.step(act.title) as bar:
        async with scene.customers(seed) as live:
            follower = Follower(scene, bar, act)
            ordered = await scene.platform.order_rollout(plans.rollout(scene.name, version))
            status = await scene.platform.rolled_out(ordered, follower.see)
            follower.see(status)
            follower.end()
        up, judged = scene.ledger.liked(short(version))
        bar.result = (
            f"{described(status.rollout)}: {status.rollout.reason} Customers asked {live.asked} times; "
            f"the candidate got {judged} thumbs, {up} of them up"
        )
    return status


def promoted(status: RolloutStatus) -> None:
    """Checks that it took over.

    Raises:
        StackError: it did not.
    """
    rollout = status.rollout
    if rollout.state is not RolloutState.PROMOTED:
        raise StackError(
            f"The honest version was not promoted: {rollout.state.value}. {rollout.reason}",
            f"See: ./llmos rollout show {rollout.id}",
        )


def stopped_for(status: RolloutStatus, topic: str) -> None:
    """Checks that customers' thumbs on that topic stopped it.

    Raises:
        StackError: it was promoted, or something else stopped it.
    """
    rollout = status.rollout
    see = f"See: ./llmos rollout show {rollout.id}"
    if rollout.state not in (RolloutState.ABORTED, RolloutState.ROLLED_BACK):
        raise StackError(f"A version that lies about one topic was not stopped: {rollout.state.value}.", see)
    found = rollout.decision.findings if rollout.decision is not None else ()
    if not any(one.harm and one.guard is Guard.DISAPPROVAL and one.tag == topic for one in found):
        raise StackError(f"It was stopped, but not for its {topic}: {rollout.reason}", see)


def short(reference: str) -> str:
    """The name that a version has in answers."""
    parsed = parse_reference(reference)
    return short_reference(parsed.name, parsed.digest)
