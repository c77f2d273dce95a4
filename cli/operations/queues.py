"""`queues list|show|cancel|purge`."""

from typing import Annotated, Any, Final

import msgspec
import typer

from cli import show, ui
from cli.keys.options import Json, Limit
from cli.operations.rest import RestScheduler
from cli.session import AUTHOR, run_with
from libs.contracts.inference import ServiceClass
from libs.contracts.scheduling import (
    CancelRequest,
    FindQueues,
    FindRequests,
    PoolPage,
    PoolStatus,
    PurgeQueue,
    QueuePurged,
    RequestCancelled,
    RequestPage,
    WaitingRequest,
)

Pool = Annotated[str, typer.Argument(metavar="POOL", help="As `list` shows it.")]
Class = Annotated[ServiceClass | None, typer.Option("--class", help="Only of this class.")]
_PAGE: Final = 200


def list_queues(*, as_json: Json = False) -> None:
    """How much waits in each pool and class, and for how long."""

    async def work(scheduler: RestScheduler) -> PoolPage:
        page: PoolPage = await scheduler.call("queue_list", FindQueues())
        return page

    pools = run_with(RestScheduler, work).pools
    if as_json:
        show.emit(pools)
        return
    titles = ("pool", "workers", "with room", "running", *(str(each) for each in ServiceClass), "oldest")
    show.table(titles, [_pool(pool) for pool in pools])


def show_one(pool: Pool, *, service_class: Class = None, limit: Limit = 50, as_json: Json = False) -> None:
    """What waits in a pool, oldest first; never its words."""

    async def work(scheduler: RestScheduler) -> list[WaitingRequest]:
        found: list[WaitingRequest] = []
        after = 0
        while len(found) < limit:
            most = min(_PAGE, limit - len(found))
            asked = FindRequests(pool=pool, service_class=service_class, after=after, limit=most)
            page: RequestPage = await scheduler.call("request_list", asked)
            found += page.requests
            after = page.next
            if not after:
                break
        return found

    found = run_with(RestScheduler, work)
    if as_json:
        show.emit(found)
        return
    titles = ("request", "class", "model", "project", "waits for", "at most", "size", "retries")
    show.table(titles, [_request(one) for one in found])


def cancel(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="Its id, as `queues show` or `workers show` say.")],
    *,
    as_json: Json = False,
) -> None:
    """Call one request off, whether it waits or runs; its client is told."""
    done: RequestCancelled = _ask("request_cancel", CancelRequest(request, AUTHOR))
    if as_json:
        show.emit(done)
    else:
        where = f" on {done.worker}" if done.worker else ""
        ui.say(f"{ui.WELL} {done.id} is cancelled; it was {done.was}{where}")


def purge(
    pool: Pool,
    *,
    service_class: Class = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Call off everything that waits in a pool; what runs is let alone. Every client is told."""
    what = f"everything of class {service_class}" if service_class else "everything"
    if not yes:
        typer.confirm(f"Call off {what} that waits in {pool}?", abort=True)
    done: QueuePurged = _ask("queue_purge", PurgeQueue(pool=pool, author=AUTHOR, service_class=service_class))
    if as_json:
        show.emit(done)
    else:
        ui.say(f"{ui.WELL} {done.requests:,} requests are called off")


def _ask(operation: str, request: msgspec.Struct) -> Any:
    async def work(scheduler: RestScheduler) -> Any:
        return await scheduler.call(operation, request)

    return run_with(RestScheduler, work)


def _pool(pool: PoolStatus) -> tuple[str, ...]:
    oldest_s = max((queue.oldest_ms for queue in pool.queues), default=0) / 1_000
    depths = {queue.service_class: queue.depth for queue in pool.queues}
    waiting = tuple(f"{depths.get(each, 0):,}" for each in ServiceClass)
    running = f"{pool.running}/{pool.capacity}"
    age = f"{oldest_s:.1f} s" if pool.waiting else ""
    return (show.plain(pool.pool), str(pool.workers), str(pool.open), running, *waiting, age)


def _request(one: WaitingRequest) -> tuple[str, ...]:
    return (one.id, one.service_class.value, show.short(one.model, 40), show.short(one.tenant, 32),
            f"{one.waited_ms / 1_000:.1f} s", f"{one.left_ms / 1_000:.0f} s more", show.size(one.size_bytes),
            str(one.retry))  # fmt: skip


VERBS: Final = {"list": list_queues, "show": show_one, "cancel": cancel, "purge": purge}
