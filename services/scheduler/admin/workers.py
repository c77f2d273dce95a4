"""Answers calls about workers: who there is, and who is given no new work."""

import asyncio
from collections.abc import Sequence
from typing import Final

from libs.contracts.inference import WorkerState
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
from libs.kit import clock
from libs.kit.answering import Operation
from libs.kit.errors import ServiceError
from services.scheduler.admin.cordons import Cordons, Key
from services.scheduler.admin.directory import Directory, Heard
from services.scheduler.dispatcher import Dispatcher

_MAX_PAGE: Final = 500
_MAX_REASON: Final = 500
_MAX_SHOWN: Final = 80
_LOOK_S: Final = 0.25
_SETTLED_S: Final = 0.5
"""A beat this much later than a cordon knows of everything that was handed over before it."""


class Workers:
    """Answers for the workers of every pool; the cordons of all schedulers are the same."""

    def __init__(self, directory: Directory, cordons: Cordons, dispatchers: Sequence[Dispatcher]) -> None:
        self._directory = directory
        self._cordons = cordons
        self._dispatchers = dispatchers

    def operations(self) -> dict[str, Operation]:
        """The calls that are answered here."""
        return {
            "worker_list": self.list,
            "worker_show": self.show,
            "worker_cordon": self.cordon,
            "worker_uncordon": self.uncordon,
            "worker_drain": self.drain,
        }

    async def list(self, wanted: FindWorkers) -> WorkerPage:
        """Workers by id; on the first page also the cordons of which no worker is alive."""
        limit = min(max(1, wanted.limit), _MAX_PAGE)
        alive = self._directory.all(wanted.pool)
        page = [heard for heard in alive if heard.beat.worker > wanted.after][: limit + 1]
        present = {_key(heard) for heard in alive}
        absent = () if wanted.after else self._absent(present, wanted.pool)
        shown = tuple(self._status(heard) for heard in page[:limit])
        return WorkerPage(shown, absent, shown[-1].id if len(page) > limit else "")

    async def show(self, wanted: WorkerRef) -> WorkerStatus:
        """One worker, and what it runs."""
        return self._status(self._directory.find(wanted.id), whole=True)

    async def cordon(self, wanted: CordonWorker) -> WorkerChanged:
        """Give a worker no new work; repeated, it changes nothing."""
        heard = self._directory.find(wanted.id)
        await self._keep(heard, wanted.author, wanted.reason, wanted.expected_revision)
        return self._changed(heard)

    async def uncordon(self, wanted: UncordonWorker) -> WorkerChanged:
        """Give a worker, or the next one of its name, work again."""
        try:
            key = _key(self._directory.find(wanted.id))
        except ServiceError as error:
            key = self._absent_key(wanted.id, error)
        if self._cordons.get(key) is not None or wanted.expected_revision is not None:
            await self._cordons.remove(key, wanted.expected_revision)
        alive = next((heard for heard in self._directory.all(key[0]) if _key(heard) == key), None)
        return WorkerChanged(left=self._left(key[0])) if alive is None else self._changed(alive)

    async def drain(self, wanted: DrainWorker) -> WorkerChanged:
        """Give a worker no new work, and answer when nothing runs there, or when the time is over."""
        heard = self._directory.find(wanted.id)
        await self._keep(heard, wanted.author, wanted.reason, None)
        worker, began_s = heard.beat.worker, clock.monotonic_s()
        until_s = began_s + min(max(0.0, wanted.wait_s), MAX_WAIT_S)
        while True:
            last = next((one for one in self._directory.all() if one.beat.worker == worker), None)
            if last is None:
                return WorkerChanged(idle=True, left=self._left(heard.beat.pool), warning="The worker has ended.")
            idle = last.at_s >= began_s + _SETTLED_S and not self._busy(last)
            if idle or clock.monotonic_s() >= until_s:
                return self._changed(last, idle=idle)
            await asyncio.sleep(_LOOK_S)

    async def _keep(self, heard: Heard, author: str, reason: str, expected: int | None) -> None:
        key = _key(heard)
        if self._cordons.get(key) is not None and expected is None:
            return
        cordon = Cordon(pool=key[0], name=key[1], author=author, since_ms=clock.unix_ms(), reason=reason[:_MAX_REASON])
        await self._cordons.put(cordon, expected)

    def _changed(self, heard: Heard, *, idle: bool = False) -> WorkerChanged:
        pool, left = heard.beat.pool, self._left(heard.beat.pool)
        none_left = f"No worker of the pool {pool} is given work any more; its requests wait until they are given up."
        return WorkerChanged(worker=self._status(heard), idle=idle, left=left, warning="" if left else none_left)

    def _left(self, pool: str) -> int:
        """Workers of a pool that work is given to, as far as they have room."""
        return sum(self._takes_work(heard) for heard in self._directory.all(pool))

    def _takes_work(self, heard: Heard) -> bool:
        return heard.beat.state is WorkerState.READY and self._cordons.get(_key(heard)) is None

    def _busy(self, heard: Heard) -> bool:
        """Whether anything runs there, or was handed over and is not answered for."""
        known = (dispatcher.registry.workers.get(heard.beat.worker) for dispatcher in self._dispatchers)
        return bool(heard.beat.running) or any(worker is not None and worker.assigned for worker in known)

    def _absent(self, present: set[Key], pool: str) -> tuple[Cordon, ...]:
        cordons = self._cordons.all()
        return tuple(one for one in cordons if (one.pool, one.name) not in present and pool in ("", one.pool))

    def _absent_key(self, wanted: str, error: ServiceError) -> Key:
        """The cordon of a name that no living worker has; raises `error` if there is not exactly one."""
        keys = [(one.pool, one.name) for one in self._cordons.all() if one.name == wanted]
        if error.code != "not_found" or not keys:
            raise error
        if len(keys) > 1:
            text = f"Workers called `{wanted[:_MAX_SHOWN]}` are cordoned in several pools and none is alive."
            raise ServiceError("conflict", text)
        return keys[0]

    def _status(self, heard: Heard, *, whole: bool = False) -> WorkerStatus:
        beat, key = heard.beat, _key(heard)
        free = max(0, beat.capacity - len(beat.running)) if self._takes_work(heard) else 0
        return WorkerStatus(
            id=beat.worker,
            name=beat.name,
            pool=beat.pool,
            state=beat.state,
            open=free > 0,
            capacity=beat.capacity,
            running=len(beat.running),
            credits=free,
            beat_age_ms=int((clock.monotonic_s() - heard.at_s) * 1_000),
            models=tuple(model.name for model in beat.models),
            adapters=tuple(model.name for model in beat.models if model.adapter),
            base=beat.base,
            engine=beat.engine,
            generation=beat.revision,
            missing=beat.missing,
            error=beat.deployment_error,
            requests=tuple(run.request_id for run in beat.running) if whole else (),
            cordon=self._cordons.get(key),
            revision=self._cordons.revision(key),
        )


def _key(heard: Heard) -> Key:
    return heard.beat.pool, heard.beat.name
