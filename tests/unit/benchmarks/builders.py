"""Small runs with figures that can be checked by hand."""

from benchmarks.records import ContenderInfo, Figures, Machine, Plan, Run, Warmup, Window


def figures(**changes: float | str | None) -> Figures:
    values: dict[str, float | str | None] = {
        "window_s": 2.0,
        "elapsed_s": 3.0,
        "served": 200.0,
        "requests": 200,
        "events": 13_200,
        "all_requests": 300,
        "all_events": 19_800,
        "errors": 0,
        "unfinished": 0,
        "first_error": "",
        "ttft_p50_ms": 1.0,
        "ttft_p99_ms": 2.0,
        "latency_p50_ms": 10.0,
        "latency_p99_ms": 20.0,
        "gap_p50_ms": 0.5,
        "gap_p99_ms": 0.9,
    }
    return Figures(**{**values, **changes})  # type: ignore[arg-type] # the fields are checked by the structure's users


def window(
    contender: str = "llmos",
    round_: int = 0,
    load: str = "burst-c32",
    *,
    cpu_s: dict[str, float] | None = None,
    idle_percent: dict[str, float] | None = None,
    discarded: str = "",
    **changes: float | str | None,
) -> Window:
    return Window(
        round=round_,
        load=load,
        contender=contender,
        started_ms=0,
        figures=figures(**changes),
        cpu_s=cpu_s or {"gateway": 0.6, "engine": 0.3},
        idle_percent=idle_percent or {},
        load_average=0.5,
        steal_percent=0.0,
        discarded=discarded,
    )


def run(windows: list[Window], *, rounds: int = 5, warmups: list[Warmup] | None = None) -> Run:
    names = list(dict.fromkeys(each.contender for each in windows))
    loads = tuple(dict.fromkeys(each.load for each in windows))
    return Run(
        plan=Plan(
            part="mock",
            commit="abc",
            rounds=rounds,
            loads=loads,
            contenders=tuple(names),
            window_scale=1.0,
            settings={"uvicorn": "1"},
        ),
        machine=Machine(processor="test", cores=2, memory_mib=1024, kernel="6", python="3.11", private_network=True),
        started_ms=0,
        finished_ms=1,
        contenders=[ContenderInfo(name=name, title=name, version="1", roles=("gateway",)) for name in names],
        warmups=warmups or [],
        windows=windows,
    )
