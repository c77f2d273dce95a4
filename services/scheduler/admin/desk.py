"""Puts the operators' side of a scheduler together."""

from collections.abc import Mapping, Sequence
from typing import Final

from libs.contracts import subjects
from libs.contracts.inference import WorkerBeat
from libs.contracts.scheduling import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.bus_desk import BusDesk, Contract
from libs.kit.tally import Tally
from services.scheduler.admin.cordons import Cordons
from services.scheduler.admin.directory import Directory
from services.scheduler.admin.queues import Queues
from services.scheduler.admin.stored import StoredRequests
from services.scheduler.admin.workers import Workers
from services.scheduler.dispatcher import Dispatcher

_CONTRACT: Final = Contract(service="scheduler", operations=OPERATIONS, subject=subjects.scheduler_call)


class AdminDesk:
    """Of several schedulers one answers each call, for every pool; all of them obey the same cordons."""

    def __init__(self, bus: BusClient, instance: str, dispatchers: Sequence[Dispatcher]) -> None:
        self._dispatchers = dispatchers
        self._directory = Directory()
        inbox = subjects.scheduler_reply(f"{instance}-admin", "").rstrip(".")
        self.cordons = Cordons(bus, inbox, self._obey)
        self._stored = StoredRequests(bus, inbox)
        self._desk = BusDesk(bus, _CONTRACT)
        self._operations = {
            **Workers(self._directory, self.cordons, dispatchers).operations(),
            **Queues(bus, self._stored, self._directory, self.cordons, dispatchers).operations(),
        }

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """What has come of each operation's calls."""
        return self._desk.tallies

    def start(self) -> None:
        """Answer calls, and follow the cordons."""
        self._stored.start()
        self.cordons.start()
        self._desk.listen(self._operations)

    async def stop(self) -> None:
        """Let the calls that run be answered."""
        await self._desk.stop()
        await self.cordons.stop()

    def hear(self, beat: WorkerBeat) -> None:
        """Take in what a worker of any pool says of itself."""
        self._directory.hear(beat)

    def _obey(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.cordon(self.cordons.names(dispatcher.pool))
