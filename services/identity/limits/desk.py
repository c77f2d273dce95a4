"""Where gateways' own calls come in: every process hears them, and only the one that leads answers."""

from collections.abc import Mapping
from typing import Final

from libs.contracts import subjects
from libs.contracts.identity import LEASING
from libs.kit.answering import Operation
from libs.kit.bus import BusClient
from libs.kit.bus_desk import BusDesk, Contract
from libs.kit.leader import LostError
from libs.kit.rounds import Rounds
from libs.kit.tally import Tally
from services.identity.ground import Ground
from services.identity.limits.granting import Granting

_RENEWALS: Final = 5
"""Of the lead, in its length."""
_TIDY_S: Final = 30.0
_CONTRACT: Final = Contract(service="identity", operations=LEASING, subject=subjects.identity_call)


class LeasingDesk:
    """Limits' part of an identity process."""

    def __init__(self, ground: Ground, bus: BusClient) -> None:
        self._desk = BusDesk(bus, _CONTRACT, shared=False)
        self._granting = Granting(ground.database, ground.instance, lease_s=ground.settings.lead_s)
        self._rounds = (
            Rounds("lead", self._granting.lead, pause_s=ground.settings.lead_s / _RENEWALS),
            Rounds("tidy limits", self._tidy, pause_s=_TIDY_S),
        )

    @property
    def leads(self) -> bool:
        """Whether this process is the one that answers."""
        return self._granting.leads

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """What has come of each operation's calls."""
        return self._desk.tallies

    def start(self) -> None:
        """Listen, and lead if nobody does."""
        operations: dict[str, Operation] = {
            "lease": self._granting.lease,
            "usage_record": self._granting.record,
        }
        self._desk.listen(operations, is_ours=lambda: self._granting.leads)
        for rounds in self._rounds:
            rounds.start()

    async def stop(self) -> None:
        """Answer the calls that run, then give the lead away."""
        for rounds in self._rounds:
            await rounds.stop()
        await self._desk.stop()
        await self._granting.resign()

    async def _tidy(self) -> int:
        try:
            return await self._granting.tidy()
        except LostError:
            # Whoever leads tidies.
            return 0
