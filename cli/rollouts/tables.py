"""How rollouts are shown: how far, what the evidence says, and what is waited for."""

from collections.abc import Iterable
from typing import Final

from cli import show, ui
from libs.contracts.rollouts import Decision, Found, Rollout, RolloutChange, RolloutPlan, RolloutState, RolloutStatus

STATES: Final = {
    RolloutState.PROMOTED: ui.WELL,
    RolloutState.ABORTED: ui.BAD,
    RolloutState.ROLLED_BACK: ui.BAD,
    RolloutState.PAUSED: "[yellow]‖[/yellow]",
}
_BUSY: Final = "[cyan]…[/cyan]"
_ACTIONS: Final = {"wait": "waits", "advance": "goes on", "promote": "promotes", "abort": "aborts"}


def rollouts(found: Iterable[Rollout]) -> None:
    """A list of rollouts."""
    rows = [
        (STATES.get(each.state, _BUSY), each.id, show.plain(each.plan.name), _words(each.state), step(each),
         show.plain(each.candidate or each.plan.candidate), show.when(each.created_ms), show.short(each.reason, 80))
        for each in found
    ]  # fmt: skip
    show.table(("", "rollout", "name", "state", "step", "candidate", "since", "reason"), rows)


def rollout(found: RolloutStatus) -> None:
    """One rollout, whole: what it is, what the evidence says by now, and what happened."""
    one = found.rollout
    show.facts(
        (
            ("Rollout", one.id),
            ("Name", show.plain(f"{one.plan.name}, alias {one.plan.alias}")),
            ("State", f"{STATES.get(one.state, _BUSY)} {_words(one.state)}"),
            ("Because", show.plain(one.reason)),
            ("Step", step(one)),
            ("Candidate", show.plain(one.candidate or one.plan.candidate)),
            ("Last good", show.plain(one.baseline)),
            ("Asked by", show.plain(one.author)),
            ("Turn", one.turn),
            ("Since", show.when(one.created_ms)),
            ("Agreement", "" if found.agreement is None else f"{found.agreement:.0%} of words with mirrored answers"),
        )
    )
    decision = found.now or one.decision
    if decision is not None:
        evidence(decision)
    if found.history:
        ui.say("")
        history(found.history, one.plan)


def evidence(found: Decision) -> None:
    """What one look came to, and why: the shares of bad outcomes of both versions, guard by guard."""
    ui.say("")
    ui.say(f"  It {_ACTIONS[found.action]}: {show.plain(found.reason)}")
    if not found.findings:
        return
    rows = [
        (ui.BAD if each.harm else "", show.plain(_words(each.guard) + (f": {each.tag}" if each.tag else "")),
         _share(each.candidate_bad, each.candidate_total), _share(each.baseline_bad, each.baseline_total),
         _difference(each))
        for each in found.findings
    ]  # fmt: skip
    show.table(("", "bad outcomes", "candidate", "last good", "difference, in points"), rows)


def history(found: Iterable[RolloutChange], plan: RolloutPlan) -> None:
    """Every change, oldest first."""
    rows = [
        (show.when(each.time_ms), _words(each.state), _step(plan, each.step), show.plain(each.author),
         show.plain(each.reason))
        for each in found
    ]  # fmt: skip
    show.table(("at", "state", "step", "by", "reason"), rows)


def outcome(found: Rollout) -> None:
    """A rollout that is over, or stands still, in a few lines."""
    if found.state is RolloutState.PROMOTED:
        ui.say(f"{ui.WELL} {show.plain(found.candidate)} is {show.plain(f'{found.plan.name}@{found.plan.alias}')}")
    else:
        text = f"The rollout {found.id} is {_words(found.state)}. {found.reason}".strip()
        ui.fail(show.unmarked(text), f"See: ./llmos rollout show {found.id}")


def step(found: Rollout) -> str:
    """Which step of how many, and the share of the requests that it gives."""
    if found.state is RolloutState.WATCHING:
        return f"watched, {found.plan.holdback:.0%} held back"
    return _step(found.plan, found.step)


def _step(plan: RolloutPlan, index: int) -> str:
    if not 0 <= index < len(plan.steps):
        return ""
    here = plan.steps[index]
    return f"{index + 1} of {len(plan.steps)}: {here.share:.0%}{' mirrored' if here.shadow else ''}"


def _share(bad: int, total: int) -> str:
    return f"{bad / total:6.1%}  {bad} of {total}" if total else "nothing yet"


def _difference(found: Found) -> str:
    if not found.candidate_total or not found.baseline_total:
        return ""
    seen = found.candidate_bad / found.candidate_total - found.baseline_bad / found.baseline_total
    return f"{100 * seen:+.1f}  between {100 * found.low:+.1f} and {100 * found.high:+.1f}"


def _words(name: str) -> str:
    return str(name).replace("_", " ")
