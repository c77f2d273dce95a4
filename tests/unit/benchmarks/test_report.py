"""The report says what was measured, and says so when it must not be believed."""

from pathlib import Path

import pytest

from benchmarks import plots, publish, report
from benchmarks.figures import Spread
from benchmarks.records import Run, load_run
from benchmarks.targets import TARGETS, Target
from tests.unit.benchmarks.builders import run, window


def measured() -> Run:
    windows = []
    for round_ in range(5):
        windows.append(window("llmos", round_, events=66_000 + round_ * 6_600))
        windows.append(window("vllm-router", round_, events=22_000))
        windows.append(window("llmos", round_, "whole-c32", served=9_000.0, ttft_p50_ms=None, events=0))
        windows.append(window("litellm", round_, "whole-c32", served=200.0, ttft_p50_ms=None, events=0))
    return run(windows)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.00"), (3.14159, "3.14"), (42.04, "42.0"), (1234567.0, "1,234,567"), (-0.5, "-0.50")],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert report.number(value) == text


def test_targets_are_judged_by_their_worst_round() -> None:
    at_least = Target("mock", "claim", 2.0, at_least=True, unit=" x", measured=lambda _: None)
    assert at_least.verdict(Spread(3.0, 2.0, 4.0, 5)) == "met in every round"
    assert at_least.verdict(Spread(3.0, 1.9, 4.0, 5)) == "met by the median"
    assert at_least.verdict(Spread(1.9, 1.0, 4.0, 5)) == "**missed**"
    at_most = Target("mock", "claim", 2.0, at_least=False, unit=" ms", measured=lambda _: None)
    assert at_most.verdict(Spread(1.0, 0.5, 2.1, 5)) == "met by the median"
    assert at_most.verdict(None) == "not measured"


def test_the_claims_of_the_issue_are_all_there() -> None:
    bounds = sorted((target.part, target.bound) for target in TARGETS)
    assert bounds == [*[("mock", 2.0)] * 4, ("mock", 50.0), *[("vllm", 0.95)] * 3]


def test_the_report_has_the_verdicts_and_the_rows() -> None:
    text = report.render([measured()], [("a plot", "results/plot.png")])
    assert "≥ 2 x | 3.60 x (3.00 … 4.20) | met in every round" in text
    assert "≥ 50 x | 45.0 x (45.0 … 45.0) | **missed**" in text
    assert "not measured" in text
    assert "![a plot](results/plot.png)" in text
    assert "| litellm | 100 |" in text
    assert "gateway 31.2, engine 15.6" in text  # 0.6 and 0.3 s for 300 requests of 64 tokens
    assert "not valid" not in text


def test_an_invalid_run_is_called_invalid_at_the_claim_itself() -> None:
    broken = measured()
    broken.windows.append(window("llmos", 0, "paced-c64", errors=1, first_error="HTTP/1.1 503"))
    text = report.render([broken], ())
    assert "met in every round (run not valid)" in text
    assert "**This run is not valid:**" in text
    assert "HTTP/1.1 503" in text


def test_the_section_is_replaced_and_the_rest_kept() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.replace_section(text, "new")
    assert once == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.replace_section(once, "new") == once
    with pytest.raises(ValueError, match="markers"):
        report.replace_section("no markers", "new")


def test_publishing_writes_results_plots_and_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(publish, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    publish.publish([measured()])
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    for file in ("mock-ratios.png", "mock-cpu.png"):
        assert f"(results/{file})" in readme
        assert (tmp_path / "results" / file).read_bytes().startswith(b"\x89PNG")
    assert load_run(tmp_path / "results/mock.json") == measured()


def test_a_run_without_streamed_loads_has_one_plot(tmp_path: Path) -> None:
    whole = run([window(name, 0, "whole-c1") for name in ("llmos", "direct")])
    assert [file for _, file in plots.draw(whole, tmp_path)] == ["mock-ratios.png"]


def test_the_readme_has_the_markers() -> None:
    text = publish.README.read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == 1
    assert text.count(report.END) == 1
