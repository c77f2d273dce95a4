"""From answers to files: hostile texts, missing sides, numbers that do not exist, the same bytes every time."""

from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.contracts.evaluation import (
    EvaluationPlan,
    EvaluationReport,
    Gate,
    Judge,
    Measure,
    MetricValue,
    Outcome,
    Rule,
    Task,
)
from libs.kit.errors import ServiceError
from services.trainer.evaluation.answers import Answer, Side, read_answers, write_answers
from services.trainer.evaluation.assess import assess
from services.trainer.evaluation.items import TaskItems, make_item
from services.trainer.evaluation.offline import material_of
from services.trainer.evaluation.report import write_report

HOSTILE = "<script>alert('x')</script><!-- </pre> {{ 7*7 }} \x00 \U0001f9e8 &amp; \"'"
MEASURES = tuple(measure for measure in Measure if measure is not Measure.PERPLEXITY)


def _items(count: int = 40, *, references: bool = True, tag: str = "<b>tag</b>") -> TaskItems:
    rows = [
        make_item(
            [{"role": "user", "content": f"{HOSTILE} {n}"}],
            ["yes" if n % 2 else "no"] if references else [],
            id=f"<i>{n}</i>",
            tags=(tag,) if tag else (),
        )
        for n in range(count)
    ]
    return TaskItems(tuple(rows))


def _answers(items: TaskItems, side: Side, text: str = "yes", **more: Any) -> Iterable[Answer]:
    for item in items.items:
        for temperature in (0.0, 0.7):
            fields: dict[str, Any] = {"latency_ms": 10.0, "first_token_ms": 2.0, "finish_reason": "stop"} | more
            yield Answer(task="t", item=item.id, side=side, temperature=temperature, text=text, **fields)


def _plan(**more: Any) -> EvaluationPlan:
    task = Task(name="t", measures=MEASURES, rules=("ok=yes",))
    fields: dict[str, Any] = {"tasks": (task,), "candidate": "<c>", "baseline": "b", "judge": Judge(rule="ok=yes")}
    return EvaluationPlan(**(fields | more))


def _write(directory: Path, plan: EvaluationPlan, items: TaskItems, answers: Iterable[Answer]) -> EvaluationReport:
    material = material_of(plan, {"t": items}, answers)
    write_report(directory, material, assess(material))
    return msgspec.json.decode((directory / "report.json").read_bytes(), type=EvaluationReport)


def _value(report: EvaluationReport, metric: str, temperature: float = 0.0, group: str = "") -> MetricValue:
    return next(v for v in report.values if (v.metric, v.temperature, v.group) == (metric, temperature, group))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [name for name, _ in attrs]


def test_hostile_texts_are_shown_and_never_run(tmp_path: Path) -> None:
    items = _items()
    _write(tmp_path, _plan(), items, [*_answers(items, Side.CANDIDATE, HOSTILE), *_answers(items, Side.BASELINE)])
    page = (tmp_path / "report.html").read_text()
    found = _Tags()
    found.feed(page)
    assert found.seen.isdisjoint({"script", "b", "i", "c", "iframe", "img", "link"})
    assert not [name for name in found.attributes if name in {"src", "href", "onload", "onerror"}]
    assert "&lt;script&gt;alert" in page
    assert "{{ 7*7 }}" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_same_answers_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    items = _items()
    said = [*_answers(items, Side.CANDIDATE), *_answers(items, Side.BASELINE, "no")]
    _write(tmp_path / "a", _plan(), items, said)
    _write(tmp_path / "b", _plan(), items, said[::-1])
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["README.md", "answers.jsonl", "report.html", "report.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_recorded_answers_give_the_report_again(tmp_path: Path) -> None:
    items = _items()
    first = _write(
        tmp_path / "a", _plan(), items, [*_answers(items, Side.CANDIDATE), *_answers(items, Side.BASELINE, "")]
    )
    assert _write(tmp_path / "b", _plan(), items, read_answers(tmp_path / "a" / "answers.jsonl")) == first


def test_values_by_hand(tmp_path: Path) -> None:
    items = _items(40)
    report = _write(
        tmp_path, _plan(), items, [*_answers(items, Side.CANDIDATE, "yes"), *_answers(items, Side.BASELINE, "no")]
    )
    match = _value(report, "t/exact_match")
    assert (match.candidate, match.baseline, match.items) == (0.5, 0.5, 40)
    assert match.difference_low is not None
    assert match.difference_low < -0.2
    assert _value(report, "t/win_rate", 0.7).candidate == 1.0
    assert _value(report, "t/accuracy").candidate == 0.5
    assert _value(report, "t/precision").candidate == pytest.approx(0.25)
    assert _value(report, "t/latency_ms").candidate == 10.0
    assert _value(report, "t/ok", 0.0, "<b>tag</b>").candidate == 1.0


def test_items_without_references_leave_only_rules_and_times(tmp_path: Path) -> None:
    items = _items(references=False, tag="")
    report = _write(tmp_path, _plan(), items, [*_answers(items, Side.CANDIDATE), *_answers(items, Side.BASELINE, "no")])
    assert {value.metric for value in report.values} == {"t/ok", "t/win_rate", "t/latency_ms", "t/first_token_ms"}
    unknown = {finding.metric for finding in report.verdict.findings if finding.reason == "it was not measured"}
    assert {"t/exact_match", "t/bleu", "t/accuracy"} <= unknown
    assert (report.verdict.outcome, report.verdict.passed) == (Outcome.UNKNOWN, False)


def test_without_a_baseline_nothing_is_compared(tmp_path: Path) -> None:
    items = _items()
    gate = Gate(rules=(Rule(metric="t/ok", kind="at_least", margin=0.8),))
    report = _write(tmp_path, _plan(gate=gate, baseline=""), items, _answers(items, Side.CANDIDATE))
    assert report.verdict.passed
    assert all(value.baseline is None and value.difference_low is None for value in report.values)
    strict = _write(tmp_path, _plan(baseline=""), items, _answers(items, Side.CANDIDATE))
    assert (strict.verdict.outcome, strict.verdict.passed) == (Outcome.UNKNOWN, False)


def test_a_baseline_that_failed_does_not_flatter_the_candidate(tmp_path: Path) -> None:
    items = _items()
    failed = [
        Answer(task="t", item=a.item, side=a.side, temperature=a.temperature, error="no_worker")
        for a in _answers(items, Side.BASELINE)
    ]
    report = _write(tmp_path, _plan(), items, [*_answers(items, Side.CANDIDATE), *failed])
    assert report.failures == {"baseline/no_worker": 80}
    assert _value(report, "t/win_rate").candidate == 1.0
    assert (report.verdict.outcome, report.verdict.passed) == (Outcome.UNKNOWN, False)
    assert all("never came" in finding.reason for finding in report.verdict.findings)


def test_answers_of_the_candidate_that_are_missing_are_wrong(tmp_path: Path) -> None:
    items = _items()
    report = _write(
        tmp_path, _plan(), items, [*list(_answers(items, Side.CANDIDATE))[:20], *_answers(items, Side.BASELINE)]
    )
    assert report.failures == {"candidate/not_answered": 60}
    assert _value(report, "t/ok").candidate == pytest.approx(10 / 40)
    assert report.verdict.outcome is Outcome.WORSE


def test_strange_times_do_not_reach_the_report(tmp_path: Path) -> None:
    items = _items()
    odd = list(_answers(items, Side.CANDIDATE, latency_ms=float("nan")))
    report = _write(tmp_path, _plan(), items, [*odd, *_answers(items, Side.BASELINE)])
    assert all(value.metric != "t/latency_ms" for value in report.values)
    assert b"NaN" not in (tmp_path / "report.json").read_bytes()


def test_an_answer_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"task": "t"}\n')
    with pytest.raises(ServiceError, match="line 1 is no recorded answer"):
        read_answers(path)


def test_answers_are_written_in_the_order_of_items_and_sides(tmp_path: Path) -> None:
    said = [
        Answer(task="t", item=item, side=side, temperature=t)
        for t in (0.7, 0.0) for side in (Side.BASELINE, Side.CANDIDATE) for item in ("b", "a")
    ]  # fmt: skip
    write_answers(tmp_path / "x", said, {("t", "a"): 0, ("t", "b"): 1})
    found = [(a.item, a.temperature, a.side) for a in read_answers(tmp_path / "x")]
    assert found == [
        (item, t, side) for item in ("a", "b") for t in (0.0, 0.7) for side in (Side.CANDIDATE, Side.BASELINE)
    ]


def test_everything_seen_by_training_is_left_out_and_named(tmp_path: Path) -> None:
    items = _items(40)
    seen = tmp_path / "train.jsonl"
    seen.write_bytes(b"".join(msgspec.json.encode({"messages": item.messages}) + b"\n" for item in items.items[:10]))
    material = material_of(_plan(near_duplicates=0.0), {"t": items}, [], [seen])
    assert (material.excluded, len(material.items["t"])) == ({"t": 10}, 30)
    everything = material_of(_plan(), {"t": items}, [], [seen])
    report = assess(everything).report
    assert report.verdict.passed is False


@pytest.mark.parametrize(
    "more",
    [
        {"tasks": ()},
        {"tasks": (Task(name="t"), Task(name="t"))},
        {"tasks": (Task(name="a/b"),)},
        {"tasks": (Task(name="t", measures=()),)},
        {"tasks": (Task(name="t", rules=("nobody.knows",)),)},
        {"tasks": (Task(name="t", rules=("x=(",)),)},
        {"tasks": (Task(name="t", rules=("x=a", "x=b")),)},
        {"tasks": (Task(name="t", max_tokens=0),)},
        {"temperatures": ()},
        {"temperatures": (float("nan"),)},
        {"temperatures": (-0.1,)},
        {"temperatures": (0.7, 0.7)},
        {"samples": 0},
        {"concurrency": 0},
        {"judge": Judge()},
        {"judge": Judge(model="m", rule="ok=yes")},
        {"judge": Judge(model="m")},
        {"near_duplicates": float("nan")},
        {"gate": Gate(confidence=2.0)},
    ],
)
def test_plans_that_make_no_sense_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as refused:
        material_of(_plan(**more), {"t": _items()}, [])
    assert refused.value.code == "invalid_value"


def test_a_rule_that_takes_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.trainer.evaluation.rules._LONGEST_SEARCH_S", 0.2)
    plan = _plan(tasks=(Task(name="t", measures=(), rules=("slow=(a|aa)+$",)),), judge=None)
    items = _items(1)
    with pytest.raises(ServiceError, match="takes too long"):
        assess(material_of(plan, {"t": items}, _answers(items, Side.CANDIDATE, "a" * 200 + "!")))
