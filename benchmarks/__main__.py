"""`./llmos bench`: measures the whole path against the engine called directly and against its peers."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from benchmarks.generator import GeneratorError
from benchmarks.isolation import enter_private_network
from benchmarks.loads import ALL_LOADS
from benchmarks.parts import CONTENDERS, LOADS, Options, run_part
from benchmarks.peers import PEERS, PeersError, install_peers
from benchmarks.processes import StartError
from benchmarks.publish import publish, show
from benchmarks.records import Run
from benchmarks.runner import UnfitError

CHECKOUT: Final = Path(__file__).resolve().parents[1]
DEFAULT_MODEL: Final = CHECKOUT / "deploy/starter/helpdesk"
ROUNDS: Final = 5
QUICK_SCALE: Final = 0.25


def main() -> int:
    """Measure what was asked for and write the report; returns the exit status."""
    choice = _parse()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        runs = [] if choice.report_only else _measure(choice)
    except (StartError, GeneratorError, UnfitError) as error:
        print(f"the benchmark cannot go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    if choice.quick or choice.loads or choice.contenders:
        show(runs)
    else:
        publish(runs)
    return 0


def _measure(choice: argparse.Namespace) -> list[Run]:
    home = Path(os.environ.get("LLMOS_HOME") or CHECKOUT / ".llmos").resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    parts = [part for part in LOADS if choice.part in {part, "all"} and _has_loads(part, choice.loads)]
    peers = _peers(home, choice) if "mock" in parts else ""
    trouble = enter_private_network()
    if trouble:
        print(f"warning: no private network here ({trouble}); some peers may listen on every address", flush=True)
    options = Options(
        home=home,
        rounds=choice.rounds or (1 if choice.quick else ROUNDS),
        window_scale=QUICK_SCALE if choice.quick else 1.0,
        loads=choice.loads,
        contenders=choice.contenders,
        model=choice.model.resolve(),
        fresh=choice.fresh or choice.quick,
        private_network=not trouble,
        peers=peers,
    )
    return [run_part(part, options) for part in parts]


def _has_loads(part: str, chosen: Sequence[str]) -> bool:
    return not chosen or any(load.name in chosen for load in LOADS[part])


def _peers(home: Path, choice: argparse.Namespace) -> Path | str:
    if choice.contenders and not set(choice.contenders) & set(PEERS):
        return "not asked for"
    try:
        return install_peers(home)
    except PeersError as error:
        print(f"the peers are not run: {error}", flush=True)
        return f"could not be installed: {error}"


def _parse() -> argparse.Namespace:
    loads = [load.name for load in ALL_LOADS]
    everyone = sorted({name for names in CONTENDERS.values() for name in names})
    parser = argparse.ArgumentParser(prog="llmos bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run: one round, short windows, nothing published")
    add("--part", choices=(*LOADS, "all"), default="all", help="mock: against the peers; vllm: against vllm serve")
    add("--loads", type=_among(loads), default=(), help=f"comma-separated, of: {', '.join(loads)}")
    add("--contenders", type=_among(everyone), default=(), help=f"comma-separated, of: {', '.join(everyone)}")
    add("--rounds", type=int, help=f"default {ROUNDS}")
    add("--model", type=Path, default=DEFAULT_MODEL, help="directory of the model for real vLLM; default: the starter")
    add("--fresh", action="store_true", help="begin again instead of going on with an interrupted run")
    add("--report-only", action="store_true", help="write the report again from the stored results")
    return parser.parse_args()


def _among(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of: {', '.join(known)}")
        return names

    return read


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
