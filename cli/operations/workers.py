"""`workers list|show|cordon|uncordon|drain`."""

from typing import Annotated, Final

import msgspec
import typer

from cli import show, ui
from cli.keys.options import Json, Limit
from cli.operations.rest import RestScheduler
from cli.session import AUTHOR, run_with
from libs.contracts.scheduling import (
    MAX_WAIT_S,
    Cordon,
    CordonWorker,
    DrainWorker,
    FindWorkers,
    UncordonWorker,
    WorkerChanged,
    WorkerPage,
    WorkerRef,
    WorkerStatus,
)

Worker = Annotated[str, typer.Argument(metavar="WORKER", help="Its name, or its id as `list` shows it.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="For whoever asks why.")]
_PAGE: Final = 100


def list_workers(
    *,
    pool: Annotated[str, typer.Option(metavar="POOL", help="Only of this pool.")] = "",
    limit: Limit = 1_000,
    as_json: Json = False,
) -> None:
    """List workers: what each serves and runs, and whether it is given work."""

    async def work(scheduler: RestScheduler) -> WorkerPage:
        found: list[WorkerStatus] = []
        absent: tuple[Cordon, ...] = ()
        after = ""
        while len(found) < limit:
            asked = FindWorkers(pool=pool, after=after, limit=min(_PAGE, limit - len(found)))
            page: WorkerPage = await scheduler.call("worker_list", asked)
            found += page.workers
            absent += page.absent
            after = page.next
            if not after:
                break
        return WorkerPage(tuple(found), absent)

    page = run_with(RestScheduler, work)
    if as_json:
        show.emit(page)
        return
    titles = ("", "worker", "name", "pool", "running", "room", "models", "beat", "cordoned")
    show.table(titles, [_line(worker) for worker in page.workers])
    for cordon in page.absent:
        ui.say(f"  [dim]cordoned, and not there: {show.short(cordon.name)} of {show.plain(cordon.pool)}[/dim]")


def show_one(worker: Worker, *, as_json: Json = False) -> None:
    """Show one worker and what it runs."""

    async def work(scheduler: RestScheduler) -> WorkerStatus:
        found: WorkerStatus = await scheduler.call("worker_show", WorkerRef(worker))
        return found

    found = run_with(RestScheduler, work)
    if as_json:
        show.emit(found)
    else:
        show.facts(_facts(found))


def cordon(worker: Worker, *, reason: Reason = "", as_json: Json = False) -> None:
    """Give a worker no new work; what runs there goes on."""
    _tell(_ask("worker_cordon", CordonWorker(id=worker, author=AUTHOR, reason=reason)), "cordoned", as_json=as_json)


def uncordon(worker: Worker, *, as_json: Json = False) -> None:
    """Give a worker work again."""
    _tell(_ask("worker_uncordon", UncordonWorker(id=worker, author=AUTHOR)), "given work again", as_json=as_json)


def drain(
    worker: Worker,
    *,
    reason: Reason = "",
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait for at most so long.")] = 600.0,
    as_json: Json = False,
) -> None:
    """Give a worker no new work, and wait until nothing runs there; status 1 if something still does."""

    async def work(scheduler: RestScheduler) -> WorkerChanged:
        left_s = timeout
        while True:
            wait_s = min(left_s, MAX_WAIT_S)
            asked = DrainWorker(id=worker, author=AUTHOR, reason=reason, wait_s=wait_s)
            changed: WorkerChanged = await scheduler.call("worker_drain", asked)
            left_s -= wait_s
            if changed.idle or left_s <= 0:
                return changed

    changed = run_with(RestScheduler, work)
    _tell(changed, "idle" if changed.idle else "cordoned, but still busy", as_json=as_json)
    if not changed.idle:
        raise typer.Exit(1)


def _ask(operation: str, request: msgspec.Struct) -> WorkerChanged:
    async def work(scheduler: RestScheduler) -> WorkerChanged:
        changed: WorkerChanged = await scheduler.call(operation, request)
        return changed

    return run_with(RestScheduler, work)


def _tell(changed: WorkerChanged, what: str, *, as_json: bool) -> None:
    if as_json:
        show.emit(changed)
        return
    who = f"{show.short(changed.worker.name)} ({changed.worker.id})" if changed.worker is not None else "It"
    ui.say(f"{ui.WELL} {who} is {what}; workers of its pool that are given work: {changed.left}")
    if changed.warning:
        ui.say(f"{ui.BAD} {show.plain(changed.warning)}")


def _line(worker: WorkerStatus) -> tuple[str, ...]:
    symbol = (
        ui.BAD if worker.error else ui.WELL if worker.cordon is None and worker.state == "ready" else "[dim]·[/dim]"
    )
    cordoned = "" if worker.cordon is None else show.short(worker.cordon.reason or f"by {worker.cordon.author}", 40)
    running = f"{worker.running}/{worker.capacity}"
    return (symbol, worker.id, show.short(worker.name, 32), show.plain(worker.pool), running, str(worker.credits),
            show.short(", ".join(worker.models), 60), f"{worker.beat_age_ms / 1_000:.1f} s ago",
            cordoned)  # fmt: skip


def _facts(found: WorkerStatus) -> tuple[tuple[str, str], ...]:
    cordon = found.cordon
    return (
        ("Worker", f"{show.short(found.name)} ({found.id})"),
        ("Pool", show.plain(found.pool)),
        ("State", f"{found.state}, beat {found.beat_age_ms / 1_000:.1f} s ago"),
        (
            "Given work",
            "yes" if cordon is None else f"no, since {show.when(cordon.since_ms)} by {show.plain(cordon.author)}",
        ),
        ("Why", show.plain(cordon.reason) if cordon is not None else ""),
        ("Runs", f"{found.running} of {found.capacity}"),
        ("Requests", ", ".join(found.requests)),
        ("Models", show.plain(", ".join(found.models))),
        ("Adapters", show.plain(", ".join(found.adapters))),
        ("Base", show.plain(found.base)),
        ("Engine", show.plain(found.engine)),
        ("Missing", show.plain(", ".join(found.missing))),
        ("Error", show.plain(found.error)),
    )


VERBS: Final = {"list": list_workers, "show": show_one, "cordon": cordon, "uncordon": uncordon, "drain": drain}
