"""Puts finished runs where they are read: raw results, plots and the README, or the terminal for partial runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.plots import draw
from benchmarks.records import Run, load_run, save_run
from benchmarks.report import render, update_readme

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"
README: Final = HERE / "README.md"
PARTS: Final = ("mock", "vllm")


def show(runs: Sequence[Run]) -> None:
    """Print what partial runs have measured; they change no file of the checkout."""
    print(render(runs, ()))


def publish(runs: Sequence[Run]) -> None:
    """Store `runs`, and write the README and its plots from the last run of each part."""
    for run in runs:
        save_run(run, RESULTS / f"{run.plan.part}.json")
    stored = [run for run in (load_run(RESULTS / f"{part}.json") for part in PARTS) if run is not None]
    plots = [(title, f"{RESULTS.name}/{file}") for run in stored for title, file in draw(run, RESULTS)]
    update_readme(README, stored, plots)
    print(f"results: {README}")
