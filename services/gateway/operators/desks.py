"""Makes the desks that answer for all services at once."""

from libs.contracts import effective, letters
from libs.kit.bus import BusClient
from libs.kit.calls import Caller
from libs.kit.operators_client import BusOperators
from libs.kit.shown_settings import shown
from services.gateway.operators.letters import LettersDesk
from services.gateway.operators.settings import SettingsDesk
from services.gateway.settings import Settings

_OWN = "gateway"


def operators_desks(bus: BusClient, settings: Settings) -> dict[str, Caller]:
    """The desks by the names that endpoints know them by."""
    services = {name: BusOperators(bus, name) for name in {*letters.SERVICES, *effective.SERVICES} - {_OWN}}
    own = effective.Settings(service=_OWN, settings=shown(settings))
    return {"letters": LettersDesk(services), "settings": SettingsDesk(services, own)}
