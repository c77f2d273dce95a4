"""The two parts of the benchmark: each is a plan, an assembly and a run that goes on where it was interrupted."""

import hashlib
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import accounting
from benchmarks.assembly import Assembly, mock_assembly, vllm_assembly
from benchmarks.generator import Generator, build_generator
from benchmarks.llmos import commit
from benchmarks.loads import MOCK_LOADS, MOCK_WARM, VLLM_LOADS, VLLM_WARM, Load
from benchmarks.machine import describe_machine, package_versions
from benchmarks.peers import PEERS, pinned_version
from benchmarks.real_vllm import engine_settings
from benchmarks.records import Plan, Run, load_run, save_run
from benchmarks.runner import Runner

CONTENDERS: Final = {"mock": ("direct", "llmos", *PEERS), "vllm": ("vllm-serve", "llmos")}
LOADS: Final = {"mock": MOCK_LOADS, "vllm": VLLM_LOADS}
WARM: Final = {"mock": MOCK_WARM, "vllm": VLLM_WARM}
WARM_WINDOW_SCALE: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for."""

    home: Path
    rounds: int
    window_scale: float
    loads: tuple[str, ...]
    contenders: tuple[str, ...]
    model: Path
    fresh: bool
    private_network: bool
    peers: Path | str
    """The `bin` directory of the peers' environment, or why there is none."""


def run_part(part: str, options: Options) -> Run:
    """Measure one part, or what is missing of it; the record is kept under the home directory after every visit."""
    loads = [load for load in LOADS[part] if not options.loads or load.name in options.loads]
    wanted = tuple(name for name in CONTENDERS[part] if not options.contenders or name in options.contenders)
    plan = _plan(part, options, loads, wanted)
    store = options.home / "runs" / f"{part}-{digest(plan)}.json"
    run = _unfinished(store, plan, options)
    with _assembly(part, options, wanted) as assembly:
        run = _adopt(run, assembly, plan, options)
        runner = Runner(
            run,
            assembly.contenders,
            [load.scaled(options.window_scale) for load in loads],
            Generator(build_generator(options.home), options.home / "requests"),
            lambda current: save_run(current, store),
        )
        runner.warm([load.scaled(WARM_WINDOW_SCALE) for load in _warm_loads(part, loads)])
        runner.measure()
        processes = accounting.scan()
        run.contenders = [each.info(accounting.pss_mib(processes, each.roles)) for each in assembly.contenders]
    run.finished_ms = time.time_ns() // 1_000_000
    save_run(run, store)
    return run


def digest(plan: Plan) -> str:
    """Names a plan: runs of other plans, quick ones too, leave an interrupted run alone."""
    return hashlib.sha256(msgspec.json.encode(plan)).hexdigest()[:10]


def _plan(part: str, options: Options, loads: list[Load], wanted: tuple[str, ...]) -> Plan:
    settings = package_versions()
    if part == "vllm":
        settings |= engine_settings(options.model)
    settings |= {name: pinned_version(name) for name in PEERS if name in wanted}
    return Plan(
        part=part,
        commit=commit(),
        rounds=options.rounds,
        loads=tuple(load.name for load in loads),
        contenders=wanted,
        window_scale=options.window_scale,
        settings=settings,
    )


def _assembly(part: str, options: Options, wanted: tuple[str, ...]) -> AbstractContextManager[Assembly]:
    if part == "mock":
        return mock_assembly(options.home, wanted, options.peers)
    return vllm_assembly(options.home, wanted, options.model)


def _warm_loads(part: str, loads: list[Load]) -> list[Load]:
    """The loads to warm up with: one of each kind, or all of them where few were chosen."""
    return [load for load in loads if load.name in WARM[part]] or loads


def _unfinished(store: Path, plan: Plan, options: Options) -> Run | None:
    run = None if options.fresh else load_run(store)
    if run is None or run.finished_ms or run.plan != plan:
        return None
    return run


def _adopt(run: Run | None, assembly: Assembly, plan: Plan, options: Options) -> Run:
    """The interrupted run if the same contenders are up again, or else a new one."""
    infos = [contender.info({}) for contender in assembly.contenders]
    if run is not None and [info.name for info in run.contenders] == [info.name for info in infos]:
        print(f"going on with the run that was interrupted: {len(run.windows)} windows are there", flush=True)
        return run
    return Run(
        plan=plan,
        machine=describe_machine(private_network=options.private_network),
        started_ms=time.time_ns() // 1_000_000,
        contenders=infos,
        not_run=dict(assembly.not_run),
    )
