"""How jobs of the trainer are shown; texts in them are somebody else's."""

from collections.abc import Iterable
from typing import Final

from cli import show, ui
from libs.contracts.evaluation import Verdict
from libs.contracts.training import ENDED, Job, JobProgress, JobState, LogLine

STATES: Final = {
    JobState.SUCCEEDED: ui.WELL,
    JobState.FAILED: ui.BAD,
    JobState.CANCELLED: "[dim]·[/dim]",
    JobState.PAUSED: "[yellow]‖[/yellow]",
}
_BUSY: Final = "[cyan]…[/cyan]"


def jobs(found: Iterable[Job]) -> None:
    """A list of jobs."""
    rows = [
        (STATES.get(each.state, _BUSY), each.id, each.kind.value, each.state.value, show.plain(_what(each)),
         steps(each.progress), show.plain(each.version or each.report), show.when(each.created_ms))
        for each in found
    ]  # fmt: skip
    show.table(("", "job", "kind", "state", "of", "steps", "made", "since"), rows)


def job(found: Job) -> None:
    """One job, whole."""
    training, progress = found.training, found.progress
    show.facts(
        (
            ("Job", found.id),
            ("Kind", found.kind.value),
            ("State", found.state.value),
            ("Of", show.plain(_what(found))),
            ("Method", show.plain(found.method)),
            ("Data set", show.plain(training.dataset) if training else ""),
            ("Base", show.plain(training.base) if training else ""),
            ("Part of", found.parent),
            ("Asked by", show.plain(found.author)),
            ("Since", show.when(found.created_ms)),
            ("Steps", steps(progress)),
            ("Loss", "" if progress.loss is None else f"{progress.loss:.4g}"),
            ("Checkpoint", f"step {progress.checkpoint_step}" if progress.checkpoint_step else ""),
            ("Trainer", show.plain(f"{found.trainer}, claim {found.epoch}") if found.trainer else ""),
            ("Version", show.plain(found.version)),
            ("Report", show.plain(found.report)),
            ("Metrics", ", ".join(f"{show.plain(name)} {value:.4g}" for name, value in found.metrics.items())),
            ("Error", show.plain(": ".join(part for part in (found.error_code, found.error) if part))),
        )
    )
    if found.verdict is not None:
        verdict(found.verdict)


def verdict(found: Verdict) -> None:
    """What the gate says, and the findings that did not pass."""
    mark = ui.WELL if found.passed else ui.BAD
    ui.say(f"{mark} {found.outcome.value.replace('_', ' ')}: {show.plain(found.reason)}")
    rows = [
        (show.plain(each.metric), show.plain(each.group), f"{each.temperature:g}", each.kind, each.outcome.value,
         _number(each.difference), show.plain(each.reason))
        for each in found.findings
        if not each.passed
    ]  # fmt: skip
    if rows:
        show.table(("metric", "group", "T", "rule", "outcome", "difference", "reason"), rows)


def outcome(found: Job) -> None:
    """A job that is over, in a few lines."""
    if found.state is not JobState.SUCCEEDED:
        text = f"The job {found.id} {found.state.value}. {found.error}".strip()
        ui.fail(show.unmarked(text), f"See: ./llmos jobs log {found.id}")
        if found.version:
            ui.say(f"  [dim]published before that:[/dim] {show.plain(found.version)}")
        return
    for name, value in (("version", found.version), ("report", found.report)):
        if value:
            ui.say(f"{ui.WELL} {name} {show.plain(value)}")
    if found.verdict is not None:
        verdict(found.verdict)


def lines(found: Iterable[LogLine]) -> None:
    """Lines of a log."""
    for line in found:
        ui.out.print(f"[dim]{line.epoch}[/dim] {show.plain(line.text)}", soft_wrap=True)


def steps(progress: JobProgress) -> str:
    """How many of how many."""
    return f"{progress.step} of {progress.steps}" if progress.steps else ""


def is_well(found: Job) -> bool:
    """Whether it has ended, or will end, as it was meant to: a gate that is not passed counts as failure."""
    plan = found.training.evaluation if found.training is not None else found.evaluation
    has_gate = plan is not None and bool(plan.gate.rules)
    passed = found.verdict is None or found.verdict.passed or not has_gate
    return (found.state not in ENDED or found.state is JobState.SUCCEEDED) and passed


def _what(found: Job) -> str:
    if found.training is not None:
        return found.training.name
    return found.evaluation.candidate.partition(":")[0].removesuffix("@sha256") if found.evaluation else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
