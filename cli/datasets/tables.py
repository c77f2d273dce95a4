"""How builds of data sets are shown."""

from collections.abc import Iterable, Mapping
from typing import Final

from cli import show, ui
from libs.contracts.datasets import DatasetJob

_STATES: Final = {"succeeded": ui.WELL, "failed": ui.BAD, "cancelled": "[dim]·[/dim]"}


def jobs(found: Iterable[DatasetJob]) -> None:
    """A list of builds."""
    rows = [
        (_STATES.get(each.state, "[cyan]…[/cyan]"), each.id, each.state, show.plain(each.selection.name),
         each.selection.shape, str(final_rows(each.counts)), show.plain(each.reference), show.when(each.created_ms))
        for each in found
    ]  # fmt: skip
    show.table(("", "job", "state", "name", "shape", "rows", "reference", "since"), rows)


def job(found: DatasetJob) -> None:
    """One build, whole."""
    selection = found.selection
    show.facts(
        (
            ("Job", found.id),
            ("State", found.state),
            ("Name", show.plain(selection.name)),
            ("Shape", selection.shape),
            ("Tenant", show.plain(selection.tenant)),
            ("Since", show.when(selection.since_ms) if selection.since_ms else ""),
            ("Until", show.when(selection.until_ms) if selection.until_ms else ""),
            ("Versions", show.plain(", ".join(selection.model_versions))),
            ("Tags", show.plain(", ".join(selection.tags))),
            ("Raters", show.plain(", ".join(selection.raters))),
            ("Asked by", show.plain(found.author)),
            ("Read", f"{found.rows_read} of {found.rows_total}" if found.rows_total else ""),
            ("Reference", show.plain(found.reference)),
            ("Digest", f"sha256:{found.digest}" if found.digest else ""),
            ("Error", show.plain(found.error)),
        )
    )
    if found.counts:
        ui.say("")
        counts(found.counts)


def outcome(found: DatasetJob) -> None:
    """A build that is over, in a few lines."""
    if found.state != "succeeded":
        ui.fail(f"The build {found.id} {found.state}. {found.error}".strip(), "See: ./llmos logs feedback")
        return
    made = show.plain(found.reference) or f"{found.selection.name}, not published  [dim]sha256:{found.digest}[/dim]"
    ui.say(f"{ui.WELL} {made}")
    counts(found.counts)


def counts(found: Mapping[str, int]) -> None:
    """Rows left after each step, in order."""
    show.table(("step", "rows"), [(show.plain(step), str(rows)) for step, rows in found.items()])


def final_rows(found: Mapping[str, int]) -> int:
    """Rows of a data set: the sum of its splits, else what the last step so far has left."""
    parts = [rows for step, rows in found.items() if step.startswith("split.")]
    return sum(parts or list(found.values())[-1:])
