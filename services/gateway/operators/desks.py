"""Makes the desks that answer for all services at once."""

import functools

from libs.contracts import effective, letters
from libs.kit.bus import BusClient
from libs.kit.calls import Caller
from libs.kit.operators_client import BusOperators, BusProcess
from libs.kit.roll_call import RollCall
from libs.kit.running_settings import RunningSettings
from services.gateway.operators.letters import LettersDesk
from services.gateway.operators.levels import Levels
from services.gateway.operators.settings import SettingsDesk

_OWN = "gateway"


def operators_desks(bus: BusClient, own: RunningSettings, roll_call: RollCall) -> dict[str, Caller]:
    """The desks by the names that endpoints know them by; `own` are the settings of this process."""
    services = {name: BusOperators(bus, name) for name in {*letters.SERVICES, *effective.SERVICES} - {_OWN}}
    levels = Levels(roll_call, functools.partial(BusProcess, bus))
    return {"letters": LettersDesk(services), "settings": SettingsDesk(services, own.told, levels)}
