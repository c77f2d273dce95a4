"""What the traces' benchmark says of its figures: ratios in the same round, and how far chance reaches."""

import pytest

from benchmarks import tracing
from benchmarks.tracing import LOADS, WAYS, Plan
from benchmarks.tracing_figures import ALL, INSTRUCTIONS, Figures, Spread, Window, spread, verdict

PARTS = ("gateway", "scheduler", "worker-0")


def _window(each_us: float, kilo: float | None = 500.0) -> Window:
    return Window(dict.fromkeys(PARTS, each_us), kilo, 100)


def _figures(*, counted: bool = True) -> Figures:
    """The default costs two in a hundred more in one start, four in the next."""
    figures = Figures("no traces")
    for load in LOADS:
        for more in (1.02, 1.04):
            kilo = 500.0 if counted else None
            rounds = [
                {way: _window(100.0 * slow * (more if ratio else 1.0), kilo) for way, ratio in WAYS.items()}
                for slow in (1.0, 3.0)
            ]
            figures.add(load.name, rounds)
    return figures


def test_a_ratio_is_to_the_base_in_the_same_round() -> None:
    found = _figures().ratio("whole", "every request", ALL)
    assert found is not None
    assert found.median == pytest.approx(1.03)
    assert found.quartiles == pytest.approx((1.02, 1.04))
    assert _figures().cost("whole", "no traces", "gateway") == 200.0
    assert _figures().requests("whole") == 100


def test_what_was_not_taken_each_time_is_not_told() -> None:
    figures = _figures()
    last = figures.taken["whole", "every request"][-1]
    last[-1] = _window(100.0, None)
    assert figures.ratio("whole", "every request", INSTRUCTIONS) is None
    assert figures.ratio("burst", "every request", INSTRUCTIONS) is not None
    assert figures.ratio("whole", "every request", ALL) is not None


def test_rounds_of_one_start_are_no_evidence_of_their_own() -> None:
    values = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05]
    alone = spread([[value] for value in values])
    assert alone.interval is not None
    assert 1.0 < alone.interval[0] < alone.median < alone.interval[1] < 1.05
    assert spread([[value] * 10 for value in values]).interval == alone.interval
    assert spread([[value] * 10 for value in values[:4]]).interval is None


@pytest.mark.parametrize(
    ("bounds", "median", "told"),
    [
        (None, 1.01, "not decided by this run, met by its median (1.010, too few starts)"),
        ((1.00, 1.02), 1.01, "met (1.010, 1.000-1.020)"),
        ((1.04, 1.08), 1.06, "**missed** (1.060, 1.040-1.080)"),
        ((1.00, 1.05), 1.02, "not decided by this run, met by its median (1.020, 1.000-1.050)"),
        ((1.01, 1.08), 1.05, "not decided by this run, **missed** by its median (1.050, 1.010-1.080)"),
    ],
)
def test_an_aim_is_met_or_missed_only_where_chance_does_not_reach(
    bounds: tuple[float, float] | None, median: float, told: str
) -> None:
    good = Spread(0.9, (0.9, 0.9), (0.9, 0.9))
    assert verdict([good, Spread(median, (0.9, 1.1), bounds)], 1.03) == told


@pytest.mark.parametrize("counted", [True, False])
def test_the_page_leaves_out_what_a_machine_does_not_count_and_says_so(counted: bool) -> None:
    page = tracing._page(_figures(counted=counted), Plan(2, 2, 8.0, counts=counted), 7)
    rows = [line for line in page.splitlines() if line.startswith("| no traces, once more")]
    assert len(rows) == len(LOADS)
    assert all(row.count("|") - 1 == (12 if counted else 8) for row in rows)
    assert ("does not count instructions" in page) != counted
    assert "not decided by this run" in page


def test_each_way_is_once_the_first_that_is_started() -> None:
    ways = list(WAYS)
    assert [tracing._turned(ways, number)[0] for number in range(5)] == ways
    assert sorted(tracing._turned(ways, 8)) == sorted(ways)
