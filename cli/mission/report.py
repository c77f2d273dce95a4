"""What the demo came to: a table of before and after, the times, and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from cli import ui
from cli.mission.ledger import Ledger
from cli.mission.plans import SERVED_TEMPERATURE
from cli.mission.plot import draw
from cli.mission.questions import Heard
from cli.mission.view import Took
from libs.contracts.evaluation import Finding, Verdict
from services.trainer.study.gate import TASK

EXAM: Final = {
    "helpdesk.right": "exam: right",
    "helpdesk.polite": "exam: kind",
    "helpdesk.new_price": "exam: today's price",
}
PLOT: Final = "demo.svg"


@dataclass(frozen=True)
class Row:
    """One line of before and after."""

    what: str
    before: str
    after: str


def rows(
    before: Sequence[Heard], after: Sequence[Heard], verdict: Verdict, liked: Sequence[tuple[int, int]]
) -> list[Row]:
    """The demo's own questions, the exam, and what live customers said of both versions at the same time."""
    asked = [
        Row(one.question.text, f"{one.text} ({one.remark})", f"{two.text} ({two.remark})")
        for one, two in zip(before, after, strict=True)
    ]
    exam = [
        Row(title, _percent(found.baseline), _percent(found.candidate))
        for metric, title in EXAM.items()
        for found in _overall(verdict, metric)
    ]
    thumbs = [_percent(up / total) + f" of {total}" if total else "-" for up, total in liked]
    return [*asked, *exam, Row("thumbs up, live, side by side", *thumbs)]


def show(found: Sequence[Row], took: Sequence[Took], total_s: float) -> None:
    """Both tables on the terminal."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for title in ("", "before", "after"):
        table.add_column(title, overflow="fold")
    for row in found:
        table.add_row(Text(row.what), Text(row.before), Text(row.after))
    ui.out.print()
    ui.out.print(table)
    times = Table(box=None, padding=(0, 2), header_style="dim")
    times.add_column("step")
    times.add_column("seconds", justify="right")
    for one in took:
        times.add_row(Text(one.title), f"{one.seconds:.1f}")
    times.add_row("all of it", f"{total_s:.1f}", style="bold")
    ui.out.print()
    ui.out.print(times)


def write_plot(folder: Path, ledger: Ledger) -> Path:
    """The picture as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLOT
    path.write_text(draw(ledger), encoding="utf-8")
    return path


def _overall(verdict: Verdict, metric: str) -> list[Finding]:
    """The finding over all items at the temperature of serving; one at most."""
    wanted = f"{TASK}/{metric}"
    found = [
        one
        for one in verdict.findings
        if one.metric == wanted and not one.group and one.temperature == SERVED_TEMPERATURE
    ]
    return found[:1]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
