"""The report as a page for people: one file, nothing fetched, every text escaped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import jinja2
import msgspec
from markupsafe import Markup

from libs.contracts.evaluation import LOWER_IS_BETTER, EvaluationReport, Finding, Measure, MetricValue
from services.trainer.evaluation.assess import Assessment, Material
from services.trainer.evaluation.cases import cases
from services.trainer.evaluation.gate import measure_of
from services.trainer.evaluation.plots import Bar, forest

_MOST_BARS: Final = 60
_TIMES: Final = frozenset({Measure.LATENCY_MS.value, Measure.FIRST_TOKEN_MS.value})
_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(material: Material, assessment: Assessment) -> str:
    """The whole page."""
    report = assessment.report
    lost, gained = cases(material, assessment)
    by_task = {
        task.name: [v for v in report.values if v.metric.startswith(f"{task.name}/")] for task in report.plan.tasks
    }
    return _ENVIRONMENT.get_template("page.html.j2").render(
        report=report,
        findings=sorted(report.verdict.findings, key=lambda finding: finding.passed),
        tasks=list(by_task.items()),
        drawings=list(_drawings(report)),
        examples=[("Lost: where the candidate does worse", lost), ("Gained: where it does better", gained)],
        plan=msgspec.json.format(msgspec.json.encode(report.plan), indent=2).decode(),
        number=number,
        span=_span,
        difference=_difference,
        interval=_interval,
        percent=lambda share: f"{100 * share:g} %",
        words=lambda text: str(text).replace("_", " "),
    )


def number(metric: str, value: float | None) -> str:
    """A value as people read it: shares in percent, times in milliseconds."""
    if value is None:
        return "n/a"
    measure = measure_of(metric)
    if measure in _TIMES:
        return f"{value:,.0f} ms"
    return f"{value:.3f}" if measure == Measure.PERPLEXITY else f"{100 * value:.1f} %"


def _drawings(report: EvaluationReport) -> Iterator[tuple[str, str, Markup]]:
    judged = {(f.metric, f.group, f.temperature): f.passed for f in report.verdict.findings}
    shares = [value for value in report.values if _is_drawn(value)]
    note = "Difference of the candidate from the baseline in points; right of the line it is better."
    whole = [_bar(value, judged) for value in shares if not value.group]
    if whole:
        yield "All items", note, forest(whole[:_MOST_BARS], unit="")
    tags = [_bar(v, judged) for v in shares if v.group and (v.metric, v.group, v.temperature) in judged]
    if tags:
        worst = sorted(tags, key=lambda bar: bar.low)[:_MOST_BARS]
        yield "Tags that the gate looks at", f"{note} The worst first.", forest(worst, unit="")


def _is_drawn(value: MetricValue) -> bool:
    has_both = value.candidate is not None and value.baseline is not None and value.difference_low is not None
    return has_both and measure_of(value.metric) not in LOWER_IS_BETTER


def _bar(value: MetricValue, judged: dict[tuple[str, str, float], bool]) -> Bar:
    off = 100 * ((value.candidate or 0.0) - (value.baseline or 0.0))
    low, high = 100 * (value.difference_low or 0.0), 100 * (value.difference_high or 0.0)
    passed = judged.get((value.metric, value.group, value.temperature))
    label = f"{value.metric}{' · ' + value.group if value.group else ''} · T {value.temperature:g}"
    kind = "" if passed is None else "good" if passed else "bad"
    return Bar(label, off, low, high, f"{off:+.1f} ({low:+.1f} to {high:+.1f})", kind)


def _span(metric: str, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(metric, low)} to {number(metric, high)}"


def _difference(metric: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "n/a"
    if measure_of(metric) in LOWER_IS_BETTER:
        return f"{low:+.3g} to {high:+.3g}"
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _interval(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return "n/a"
    if finding.kind == "at_most_ratio":
        return f"{finding.low:.3f} to {finding.high:.3f} times"
    if finding.kind == "at_least":
        return _span(finding.metric, finding.low, finding.high)
    return _difference(finding.metric, finding.low, finding.high)
