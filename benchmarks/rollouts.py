"""`python -m benchmarks.rollouts`: simulated rollouts with planted faults, decided by the rollout service's own code.

Says how many are taken back, after how many requests and minutes, what share of all answers was bad until then, and how
often a candidate that is no other than the last good version is taken back.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from libs.testkit.simulated_rollouts import (
    GOOD,
    LOOK_S,
    PLAN,
    RATED,
    REQUESTS_PER_LOOK,
    TOPICS,
    Bad,
    Behaviour,
    Result,
    roll_out,
)
from services.feedback.domain import wilson

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "rollouts.md"
PLOT: Final = HERE / "results" / "rollouts.png"
AIM: Final = 0.01
"""Of rollouts of the same version, how many may be taken back."""
LONG: Final = msgspec.structs.replace(PLAN, watch_s=3_600.0)
"""For faults that begin after the promotion: longer than usual, to see how long it takes."""
_CHUNK: Final = 5
_NONE: Final = "-"
_HEAD: Final = "| fault | rollouts | taken back [95 %] |"
_TIMES: Final = "requests, median / p95 | minutes, median / p95 |"


@dataclass(frozen=True)
class Fault:
    """A candidate that is to be taken back."""

    name: str
    behaviour: Behaviour
    bad: Bad | None
    """What is counted as a bad answer; None where its answers are good, only nobody says so."""
    later: bool = False
    """Whether it begins only with the promotion."""


FAULTS: Final = (
    Fault("errors: one answer in ten fails", replace(GOOD, error=0.1), "failed"),
    Fault("slow: half of the answers", replace(GOOD, slow=0.5), "slow"),
    Fault(
        "garbage: 60 % of odd length, 90 % disapproved",
        replace(GOOD, odd_length=0.6, disapproval=dict.fromkeys(TOPICS, 0.9)),
        "odd",
    ),
    Fault(
        "too agreeable: liked by all, and wrong on a topic of 10 %",
        replace(GOOD, disapproval=dict.fromkeys(TOPICS, 0.01)).on(("refund",), 0.8),
        "wrong",
    ),
    Fault("a little worse: 16 % disapproved, not 8 %", replace(GOOD, disapproval=dict.fromkeys(TOPICS, 0.16)), "wrong"),
    Fault("silent: answers nothing", replace(GOOD, answers=False), "missing"),
    Fault("never rated", replace(GOOD, is_rated=False), None),
)
SHOWN_LATER: Final = ("errors", "slow", "garbage", "too agreeable", "silent")
"""Faults that are also planted only after the promotion."""


@dataclass(frozen=True)
class Figures:
    """What the rollouts with one fault came to."""

    fault: Fault
    ends: Sequence[Result]

    @property
    def taken_back(self) -> list[Result]:
        """Those that were found out."""
        return [one for one in self.ends if one.decision.action == "abort"]

    def bad_share(self) -> float | None:
        """Of all answers until the candidate was taken back, by what was asked of it and of the other."""
        if self.fault.bad is None:
            return None
        own, other = self.fault.behaviour.bad(self.fault.bad), GOOD.bad(self.fault.bad)
        bad = sum(one.exposed * own + (one.requests - one.exposed) * other for one in self.ends)
        return bad / sum(one.requests for one in self.ends)


def main() -> None:
    """Simulate, and write the page and the plot unless this is only a try."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollouts", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200, help="with each fault")
    parser.add_argument("--later", type=int, default=100, help="with each fault that begins after the promotion")
    parser.add_argument("--same", type=int, default=1_000, help="of the same version")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    choice = parser.parse_args()
    with ProcessPoolExecutor(choice.processes) as pool:
        figures = []
        for fault in _faults():
            count = choice.later if fault.later else choice.rollouts
            ends = list(pool.map(partial(simulate, fault), range(count), chunksize=_CHUNK))
            figures.append(Figures(fault, ends))
            print(f"{fault.name}{', later' * fault.later}: {len(figures[-1].taken_back)} of {count}", flush=True)
        same = list(pool.map(_same, range(choice.same), chunksize=_CHUNK))
    text = render(figures, same)
    if choice.show:
        print(text)
        return
    PAGE.write_text(text, encoding="utf-8")
    _draw(figures)
    print(f"results: {PAGE}, {PLOT}")


def _faults() -> Iterator[Fault]:
    yield from FAULTS
    for fault in FAULTS:
        if fault.name.partition(":")[0] in SHOWN_LATER:
            yield replace(fault, later=True)


def simulate(fault: Fault, seed: int) -> Result:
    """One rollout with the fault, to its end."""
    if fault.later:
        return roll_out(seed, GOOD, plan=LONG, later=fault.behaviour)
    return roll_out(seed, fault.behaviour, later=fault.behaviour)


def _same(seed: int) -> Result:
    return roll_out(seed, GOOD, later=GOOD)


_SHARES: Final = ", ".join(f"{step.share:.0%}" for step in PLAN.steps)
_SETTING: Final = f"""\
Simulated traffic, decided by the rollout service's own code (`services/rollout/domain`). Steps of
{_SHARES}, then watched for {PLAN.watch_s / 60:g} minutes beside {PLAN.holdback:.0%}
of the last good version; {REQUESTS_PER_LOOK / LOOK_S * 60:.0f} requests a minute, {RATED:.0%} of the answers judged,
{len(TOPICS)} topics; a look every {LOOK_S:g} s (the service looks every second), so that {LOOK_S / 60:g} minutes is the
least. The last good version fails in 0.2 % of its answers and is disapproved of in 8 %;
5 % of them are slow by definition, 2 % of odd length. *Bad* are answers with the fault's own trouble, judged or not; of
all until the candidate is taken back, of the last good version alone, and of the candidate alone."""


def render(figures: Sequence[Figures], same: Sequence[Result]) -> str:
    """The page."""
    lines = [
        "# Rollouts benchmark",
        "",
        "    python -m benchmarks.rollouts          # a quarter of an hour of one core; needs no quiet machine",
        "    python -m benchmarks.rollouts --show --rollouts 5 --later 5 --same 10   # does it still run?",
        "",
        _SETTING,
        "",
        "## A fault from the first request on",
        "",
        f"{_HEAD} {_TIMES} bad of all | of the last good version | of the candidate |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_line(one) for one in figures if not one.fault.later),
        "",
        _about_same(same),
        "",
        "One that everybody approves of on every topic although it is wrong is not found by thumbs, but by the gate.",
        "",
        "## A fault that begins after the promotion",
        "",
        f"Counted from the promotion, watched for {LONG.watch_s / 60:g} minutes instead of {PLAN.watch_s / 60:g}.",
        "",
        f"{_HEAD} within {PLAN.watch_s / 60:g} minutes | {_TIMES} bad of all |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_line(one) for one in figures if one.fault.later),
        "",
        "![time until a candidate is taken back](results/rollouts.png)",
        "",
    ]
    return "\n".join(lines)


def _line(one: Figures) -> str:
    taken, fault = one.taken_back, one.fault
    bad = one.bad_share()
    of_all = f"{bad:.1%}" if bad is not None else _NONE
    times = [_two([end.requests for end in taken], 1.0, ",.0f"), _two([end.seconds for end in taken], 60.0, ".1f")]
    cells = [fault.name, str(len(one.ends)), _share(len(taken), len(one.ends))]
    if fault.later:
        cells += [_share(sum(end.seconds <= PLAN.watch_s for end in taken), len(one.ends)), *times, of_all]
    elif fault.bad is None:
        cells += [*times, _NONE, _NONE, _NONE]
    else:
        cells += [*times, of_all, f"{GOOD.bad(fault.bad):.1%}", f"{fault.behaviour.bad(fault.bad):.1%}"]
    return f"| {' | '.join(cells)} |"


def _two(values: Sequence[float], unit: float, form: str) -> str:
    if not values:
        return _NONE
    return " / ".join(format(float(np.percentile(values, at)) / unit, form) for at in (50, 95))


def _share(part: int, whole: int) -> str:
    low, high = wilson.interval(part, whole) or (0.0, 1.0)
    return f"{part / whole:.1%} [{low:.1%}, {high:.1%}]"


def _about_same(same: Sequence[Result]) -> str:
    alarms = [one for one in same if one.decision.action == "abort"]
    watched = sum(one.watched for one in alarms)
    said = "met" if len(alarms) <= AIM * len(same) else "missed"
    return (
        f"**Rollouts of the same version:** {len(alarms)} of {len(same):,} were taken back, {watched} of them while"
        f" watched; {_share(len(alarms), len(same))} by Wilson. Aim at most {AIM:.0%}: {said}."
    )


def _draw(figures: Sequence[Figures]) -> None:
    import matplotlib as mpl  # noqa: PLC0415 (a second to load, and only this needs it)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 (as above)

    figure, both = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for axes, later, title in zip(
        both, (False, True), ("from the first step", "only after the promotion"), strict=True
    ):
        for one in figures:
            if one.fault.later is later and one.taken_back:
                minutes = sorted(end.seconds / 60 for end in one.taken_back)
                shares = np.arange(1, len(minutes) + 1) / len(one.ends)
                axes.step(minutes, shares, where="post", label=one.fault.name.partition(":")[0])
        axes.set_title(f"A fault that shows {title}", fontsize=10)
        axes.set_xlabel("minutes until it is taken back")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    both[0].set_ylabel("share of rollouts")
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
