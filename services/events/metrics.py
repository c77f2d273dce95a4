"""What Prometheus can read of public events and webhooks."""

from typing import Final

from prometheus_client import CollectorRegistry

from libs.kit.metrics.measure import Measure, counter, gauge, histogram
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import age_s, ask
from libs.kit.page import Page
from libs.kit.postgres import Database

_PUBLISHED: Final = counter("llmos_events_published", "Events put into the log that others read.", "type")
_ATTEMPTS: Final = counter("llmos_events_attempts", "Attempts to deliver an event to a webhook.", "outcome")
_ATTEMPT_S: Final = histogram("llmos_events_attempt_seconds", "How long receivers took to answer.")
_WEBHOOKS: Final = gauge("llmos_events_webhooks", "Webhooks, by whether events are sent to them.", "state")
_DELIVERIES: Final = gauge("llmos_events_deliveries", "Deliveries that are not over, or were given up.", "state")
_OLDEST: Final = gauge("llmos_events_oldest_delivery_seconds", "Age of the oldest that is not over; 0: there is none.")

_READ: Final = (_WEBHOOKS, _DELIVERIES, _OLDEST)
MEASURES: Final = (*_READ, _PUBLISHED, _ATTEMPTS, _ATTEMPT_S)

COUNTED: Final = CollectorRegistry()
PUBLISHED: Final = _PUBLISHED.counter(COUNTED)
ATTEMPTS: Final = _ATTEMPTS.counter(COUNTED)
ATTEMPT_S: Final = _ATTEMPT_S.histogram(COUNTED, (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0))

_COUNT: Final = """
select count(*) filter (where state = 'pending'), count(*) filter (where state = 'dead'),
       min(created_ms) filter (where state = 'pending')
from events.deliveries where state in ('pending', 'dead')
"""
_HOOKS: Final = """
select count(*) filter (where not is_disabled), count(*) filter (where is_disabled) from events.webhooks
"""


def show(page: Page, database: Database) -> None:
    """Show what is sent and what waits."""

    async def read() -> dict[Measure, Rows]:
        counted, hooks = await ask(database, _COUNT, _HOOKS)
        pending, dead, oldest_ms = counted[0]
        enabled, disabled = hooks[0]
        return {
            _WEBHOOKS: [(("enabled",), enabled), (("disabled",), disabled)],
            _DELIVERIES: [(("pending",), pending), (("dead",), dead)],
            _OLDEST: age_s(oldest_ms),
        }

    page.look_up("deliveries", _READ, read)
    page.show(COUNTED)
