"""`python -m benchmarks.training`: the trainer's process beside plain TRL on the same rows, and beside those who ask.

Ours and plain TRL are fresh processes with one thread, run in turn and in an order that shifts from round to round;
ratios are taken inside a round. Both teach the same adapter of the starter model with as many rows, batches and steps,
at one rate.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import training_serving as serving
from benchmarks.machine import describe_machine
from benchmarks.records import Machine
from libs.testkit.platform import ROOT

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "training.md"
STORED: Final = HERE / "results" / "training.json"
QUIET: Final = 0.5
METHODS: Final = ("sft", "dpo", "kto")
WORDS: Final = (
    "price",
    "colour",
    "lamp",
    "desk",
    "warranty",
    "delivery",
    "when",
    "where",
    "how",
    "much",
    "please",
    "shop",
)
SIDES: Final = ("ours", "trl")
TARGET: Final = 1.1
MEASURES: Final = {
    "wall_s": "wall time of training",
    "cpu_s": "CPU time of training",
    "whole_cpu_s": "CPU time of the process, with imports and reading",
    "peak_mib": "peak memory of the process",
}


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    rows: int
    steps: int
    rounds: int


class Stored(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was measured last, part by part: one may be measured again without the other."""

    size: Size | None = None
    figures: dict[str, list[dict[str, dict[str, float]]]] = {}
    load: serving.Load | None = None
    rounds: serving.Rounds = []
    busy: dict[str, float] = {}
    """Load average of the machine before each part."""


def main() -> None:
    """Measure, and write the page unless this is only a try."""
    choice = _parser().parse_args()
    stored = msgspec.json.decode(STORED.read_bytes(), type=Stored) if STORED.exists() and not choice.show else Stored()
    busy = dict(stored.busy)
    if choice.part != "serving":
        busy["trl"] = os.getloadavg()[0]
        size = Size(choice.rows, choice.steps, choice.rounds)
        figures = {method: measure(method, size) for method in choice.methods.split(",")}
        stored = msgspec.structs.replace(stored, size=size, figures=figures)
    if choice.part != "trl":
        busy["serving"] = os.getloadavg()[0]
        load = serving.Load(choice.per_s, choice.seconds, choice.serving_rounds)
        rounds = serving.measure(load, make_rows("sft", choice.rows))
        stored = msgspec.structs.replace(stored, load=load, rounds=rounds)
    stored = msgspec.structs.replace(stored, busy=busy)
    text = render(stored, describe_machine(private_network=False))
    if choice.show:
        print(text)
        return
    STORED.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")
    PAGE.write_text(text, encoding="utf-8")
    print(f"results: {PAGE}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--part", choices=("all", "trl", "serving"), default="all")
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison with TRL")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--serving-rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each kind in a round beside serving")
    parser.add_argument("--per-s", type=float, default=4.0, help="requests a second")
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    return parser


def measure(method: str, size: Size) -> list[dict[str, dict[str, float]]]:
    """Figures of both sides, round by round."""
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        rows = directory / "train.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(method, size.rows)), encoding="utf-8")
        for number in range(size.rounds):
            order = SIDES if number % 2 == 0 else SIDES[::-1]
            rounds.append({side: run(side, method, rows, directory / f"{side}{number}", size) for side in order})
            print(f"{method} round {number + 1}/{size.rounds}: {rounds[-1]}", flush=True)
    return rounds


def run(side: str, method: str, rows: Path, directory: Path, size: Size) -> dict[str, float]:
    """One training in a process of its own, which writes its figures as its last line."""
    directory.mkdir()
    command = [
        sys.executable,
        "-m",
        "benchmarks.training_sides",
        side,
        method,
        str(rows),
        str(directory),
        str(size.steps),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} {method} ended with {done.returncode}: {done.stderr.decode()[-2_000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_rows(method: str, count: int) -> list[dict[str, Any]]:
    """Questions and answers of lengths as a help desk has them, the same for both sides."""
    rng = random.Random(7)  # noqa: S311 - the same rows every time
    return [_row(method, rng, number) for number in range(count)]


def _row(method: str, rng: random.Random, number: int) -> dict[str, Any]:
    prompt = [{"role": "user", "content": " ".join(rng.choices(WORDS, k=rng.randint(4, 30))) + "?"}]
    good = {"role": "assistant", "content": "With pleasure! " + " ".join(rng.choices(WORDS, k=rng.randint(4, 20)))}
    bad = {"role": "assistant", "content": " ".join(rng.choices(WORDS, k=rng.randint(2, 12)))}
    if method == "sft":
        return {"messages": [*prompt, good]}
    if method == "dpo":
        return {"prompt": prompt, "chosen": [good], "rejected": [bad]}
    label = number % 2 == 0
    return {"prompt": prompt, "completion": [good if label else bad], "label": label}


def render(stored: Stored, machine: Machine) -> str:
    """The page, of all parts that were measured."""
    lines = [
        "# Training benchmark",
        "",
        "    python -m benchmarks.training                  # a quarter of an hour; wants an otherwise idle machine",
        "    python -m benchmarks.training --part trl       # ten minutes of it; the other part stays as it was",
        "    python -m benchmarks.training --part serving   # five minutes of it",
        "    python -m benchmarks.training --show --rounds 1 --steps 20 --serving-rounds 1 --seconds 5   # a try",
        "",
        f"{machine.processor}, {machine.cores} cores, {machine.memory_mib // 1024} GiB.",
    ]
    if stored.size is not None:
        lines += ["", *_against_trl(stored.size, stored.figures), "", _busy(stored, "trl")]
    if stored.load is not None:
        lines += ["", *serving.lines(stored.rounds, stored.load), "", _busy(stored, "serving")]
    return "\n".join(lines) + "\n"


def _busy(stored: Stored, part: str) -> str:
    average = stored.busy.get(part, 0.0)
    warning = "; other work took its share of the processor" if average > QUIET else ""
    return f"Load average before this part: {average:.1f}{warning}."


def _against_trl(size: Size, figures: dict[str, list[dict[str, dict[str, float]]]]) -> list[str]:
    lines = [
        "## Beside plain TRL",
        "",
        f"The starter model, {size.rows} rows, {size.steps} steps of 16 rows, rank 8 on every linear layer; one thread",
        "on each side. Plain TRL is its trainer with the same settings, given the rows as they are; ours writes",
        "checkpoints every 50 steps and a result besides. Ratios are taken inside a round: the table gives median and",
        f"range of {size.rounds}.",
        "",
        "| method | measure | ours, median | plain TRL, median | ratio | aim |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for method, rounds in figures.items():
        lines += [_line(method, measure, rounds) for measure in MEASURES]
    return lines


def _line(method: str, measure: str, rounds: list[dict[str, dict[str, float]]]) -> str:
    ours, plain = ([one[side][measure] for one in rounds] for side in SIDES)
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    median = statistics.median(ratios)
    aim = f"≤ {TARGET}" + ("" if median <= TARGET else ": missed")
    spread = f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    cells = (
        method,
        MEASURES[measure],
        f"{statistics.median(ours):.1f}",
        f"{statistics.median(plain):.1f}",
        spread,
        aim,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
