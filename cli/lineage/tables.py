"""How lineage is shown to people; texts in it are somebody else's."""

from collections.abc import Iterable

from cli import show, ui
from cli.feedback.tables import signals
from cli.lineage.rebuilding import Rebuilt
from libs.contracts.feedback import DatasetOrigin
from libs.contracts.lineage import AnswerLineage, ShapedVersion, SignalImpact
from libs.contracts.rollouts import Rollout, Turn


def why(found: AnswerLineage) -> None:
    """What shaped an answer."""
    interaction, manifest, job = found.interaction, found.manifest, found.job
    ui.say(f"  {show.plain(found.summary)}")
    ui.say("")
    plan = job.training if job else None
    show.facts(
        (
            ("Answer", f"{show.plain(interaction.inference_id)}, {show.when(interaction.time_ms)}"),
            ("Version", show.plain(found.version.reference if found.version else interaction.model_version)),
            ("Base", show.plain(manifest.base) if manifest else ""),
            ("Job", show.plain(manifest.lineage.job) if manifest else ""),
            ("Code", show.plain(manifest.lineage.code) if manifest else ""),
            ("Recipe", f"{job.method or plan.recipe.method.value}, seed {plan.recipe.seed}" if job and plan else ""),
            ("Data set", show.plain(manifest.lineage.dataset) if manifest else ""),
            *_origin(found.dataset),
            ("Report", show.plain(job.report) if job else ""),
            ("Verdict", show.plain(job.verdict.reason or job.verdict.outcome.value) if job and job.verdict else ""),
            ("Turn", _turn(found.turn)),
            ("Rollout", _rollout(found.rollout)),
        )
    )
    if found.dataset and found.dataset.shown:
        ui.say("")
        ui.say(f"  [dim]The first {len(found.dataset.shown)} of {found.dataset.signals} judgements:[/dim]")
        signals(found.dataset.shown)
    _gaps(found.gaps)


def impact(found: SignalImpact) -> None:
    """What a judgement shaped."""
    signals((found.signal,))
    ui.say("")
    ui.say(f"  {show.plain(found.summary)}")
    if found.versions:
        rows = [
            (show.plain(one.version.reference), show.plain(one.dataset), one.job, _turn(one.turn), _newest(one),
             show.plain(", ".join(one.serves)) or "[dim]not served[/dim]")
            for one in found.versions
        ]  # fmt: skip
        show.table(("version", "data set", "job", "turn", "rollout", "answers today as"), rows)
    elif found.datasets:
        show.facts((("Data sets", show.plain(", ".join(found.datasets))),))
    _gaps(found.gaps)


def rebuilt(found: Rebuilt) -> None:
    """What came of making a version again."""
    mark = ui.WELL if found.dataset_same else ui.BAD
    if found.dataset_same is None:
        ui.say(f"  [yellow]?[/yellow] {show.plain(found.dataset)} was not built of judgements here")
    else:
        told = ": ".join(filter(None, (found.dataset_digest, found.dataset_error)))
        ui.say(f"{mark} data set: {show.plain(told)}")
    for file in found.files:
        mark = ui.WELL if file.same else ui.BAD
        told = file.before[:12] if file.same else f"{file.before[:12] or 'none'} → {file.after[:12] or 'none'}"
        ui.say(f"{mark} {show.plain(file.path)}  [dim]{told}[/dim]")
    if found.code != found.code_rebuilt:
        ui.say(f"  [yellow]made by other code: {show.plain(found.code)}, now {show.plain(found.code_rebuilt)}[/yellow]")
    kept = f", kept as {found.rebuilt}" if found.rebuilt else ""
    ui.say(f"  [dim]{found.job} did it{kept}[/dim]")


def _origin(dataset: DatasetOrigin | None) -> Iterable[tuple[str, str]]:
    if dataset is None or dataset.job is None:
        return ()
    chosen = dataset.job.selection
    rows = ", ".join(f"{rows} {step}" for step, rows in dataset.job.counts.items())
    return (
        ("Selection", f"{chosen.shape.value} of {show.plain(chosen.tenant)}, until {show.when(chosen.until_ms)}"),
        ("Rows", show.plain(rows)),
        ("Judgements", f"{dataset.signals} of {dataset.interactions} interactions"),
    )


def _turn(turn: Turn | None) -> str:
    return "" if turn is None else f"{show.plain(turn.loop)} {turn.number}: {turn.state.value}  ({turn.id})"


def _rollout(rollout: Rollout | None) -> str:
    return "" if rollout is None else f"{rollout.id}: {rollout.state.value}, {show.plain(rollout.reason)}"


def _newest(one: ShapedVersion) -> str:
    return one.rollouts[0].state.value if one.rollouts else ""


def _gaps(gaps: tuple[str, ...]) -> None:
    for gap in gaps:
        ui.say(f"  [yellow]{show.plain(gap)}[/yellow]")
