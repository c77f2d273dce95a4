"""Ratios are taken inside rounds, medians over them; doubtful runs say so."""

import pytest

from benchmarks import figures
from benchmarks.figures import Spread
from benchmarks.records import Warmup
from tests.unit.benchmarks.builders import run, window


def test_rates_are_per_second_of_the_window() -> None:
    one = window(served=150.0, events=600, window_s=3.0)
    assert figures.requests_per_s(one) == 50.0
    assert figures.events_per_s(one) == 200.0


def test_cpu_is_divided_by_every_request_of_the_visit() -> None:
    one = window(cpu_s={"gateway": 0.6, "engine": 0.3}, all_requests=300, served=1.0)
    assert figures.cpu_us_per_request(one) == pytest.approx(3_000)
    assert figures.role_us_per_request("engine")(one) == pytest.approx(1_000)
    assert figures.role_us_per_request("absent")(one) == 0.0
    assert figures.way_us_per_request(one) == pytest.approx(2_000)
    assert figures.cpu_us_per_request(window(all_requests=0)) is None


def test_a_spread_is_the_median_and_the_extremes_of_what_exists() -> None:
    assert figures.spread([3.0, None, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0, 3)
    assert figures.spread([None]) is None


def test_ratios_pair_the_windows_of_one_round() -> None:
    # The machine is twice as slow in the second round; the ratio of medians would hide that both rounds agree.
    windows = [
        window("llmos", 0, served=400.0),
        window("peer", 0, served=200.0),
        window("peer", 1, served=100.0),
        window("llmos", 1, served=200.0),
        window("llmos", 2, served=900.0),
    ]
    found = figures.ratios(run(windows), "burst-c32", "llmos", "peer", figures.requests_per_s)
    assert found == Spread(2.0, 2.0, 2.0, 2)


def test_the_median_of_ratios_is_not_the_ratio_of_medians() -> None:
    ours, theirs = (100.0, 400.0, 900.0), (100.0, 100.0, 300.0)
    windows = [window("llmos", index, served=value) for index, value in enumerate(ours)]
    windows += [window("peer", index, served=value) for index, value in enumerate(theirs)]
    found = figures.ratios(run(windows), "burst-c32", "llmos", "peer", figures.requests_per_s)
    assert found == Spread(3.0, 1.0, 4.0, 3)


def test_a_ratio_to_nothing_does_not_exist() -> None:
    windows = [window("llmos", 0), window("peer", 0, served=0.0)]
    assert figures.ratios(run(windows), "burst-c32", "llmos", "peer", figures.requests_per_s) is None
    assert figures.ratio((0.0, 4.0)) == 0.0
    assert figures.ratio((None, 4.0)) is None


def test_differences_keep_their_sign() -> None:
    windows = [window("llmos", 0, ttft_p50_ms=1.5), window("direct", 0, ttft_p50_ms=0.5)]
    windows += [window("llmos", 1, ttft_p50_ms=0.25), window("direct", 1, ttft_p50_ms=0.5)]
    windows += [window("llmos", 2, ttft_p50_ms=None), window("direct", 2, ttft_p50_ms=0.5)]
    found = figures.differences(run(windows), "burst-c32", "llmos", "direct", lambda each: each.figures.ttft_p50_ms)
    assert found == Spread(0.375, -0.25, 1.0, 2)


def test_discarded_windows_do_not_count() -> None:
    windows = [window("llmos", 0, served=1.0, discarded="busy"), window("llmos", 0, served=400.0)]
    assert figures.median_of(run(windows), "burst-c32", "llmos", figures.requests_per_s) == Spread(200, 200, 200, 1)


def test_errors_and_busy_bystanders_make_a_run_invalid() -> None:
    assert figures.problems(run([window(), window(idle_percent={"litellm": 4.9})])) == []
    broken = run([window(errors=2, first_error="HTTP/1.1 500"), window(idle_percent={"litellm": 5.1})])
    found = figures.problems(broken)
    assert len(found) == 2
    assert "2 errors (HTTP/1.1 500)" in found[0]
    assert "litellm should have been idle" in found[1]
    assert figures.problems(run([window(idle_percent={"litellm": 50.0}, discarded="busy")])) == []


def test_an_unfinished_run_is_invalid() -> None:
    half = run([window()])
    half.finished_ms = 0
    assert figures.problems(half) == ["the run was not finished"]


def test_remarks_name_what_a_reader_must_know() -> None:
    warmup = Warmup(load="burst-c32", contender="litellm", requests_per_s=(1.0, 9.0), settled=False)
    doubtful = run([window(discarded="busy"), window()], rounds=2, warmups=[warmup])
    doubtful.not_run["vllm-router"] = "no such package\nsecond line"
    text = "\n".join(figures.remarks(doubtful))
    assert "vllm-router was not run: no such package" in text
    assert "second line" not in text
    assert "2 round" in text
    assert "litellm did not settle" in text
    assert "1 windows were repeated" in text
