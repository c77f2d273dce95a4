"""What Prometheus can read of the registry: what it keeps, and what waits to be finished."""

from typing import Final

from libs.contracts.registry import Kind
from libs.kit import clock
from libs.kit.metrics.measure import Measure, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import ask, by_name
from libs.kit.page import Page
from libs.kit.postgres import Database

_BLOBS: Final = gauge("llmos_registry_blobs", "Blobs, by whether their bytes were checked.", "state")
_BYTES: Final = gauge("llmos_registry_blob_bytes", "What they take together.", "state")
_VERSIONS: Final = gauge("llmos_registry_versions", "Versions that are published.", "kind")
_UPLOADS: Final = gauge("llmos_registry_uploads", "Uploads that were begun, and neither finished nor given up.")
_DEPLOYMENTS: Final = gauge("llmos_registry_deployments", "Pools with a deployment, well or faulty.", "state")
_ROLL_AGE: Final = gauge("llmos_registry_oldest_roll_seconds", "How long a change of a pool's base goes on; 0: none.")

MEASURES: Final = (_BLOBS, _BYTES, _VERSIONS, _UPLOADS, _DEPLOYMENTS, _ROLL_AGE)

_BLOB_STATES: Final = """
select case when is_bad then 'bad' when verified_ms is null then 'announced' else 'verified' end,
       count(*), coalesce(sum(size_bytes), 0)
from registry.blobs group by 1
"""
_KINDS: Final = "select kind, count(*) from registry.versions group by kind"
_REST: Final = """
select (select count(*) from registry.uploads where expires_ms > {now_ms}),
       count(*) filter (where error = ''), count(*) filter (where error <> ''),
       min(declared_ms) filter (where roll is not null)
from registry.deployments
"""


def show(page: Page, database: Database) -> None:
    """Show what is kept."""

    async def read() -> dict[Measure, Rows]:
        now_ms = clock.unix_ms()
        blobs, kinds, rest = await ask(database, _BLOB_STATES, _KINDS, _REST.format(now_ms=now_ms))
        uploads, well, faulty, rolling_ms = rest[0]
        states = ("verified", "announced", "bad")
        return {
            _BLOBS: by_name(blobs, states),
            _BYTES: by_name([row[::2] for row in blobs], states),
            _VERSIONS: by_name(kinds, [kind.value for kind in Kind]),
            _UPLOADS: [((), uploads)],
            _DEPLOYMENTS: [(("ok",), well), (("faulty",), faulty)],
            _ROLL_AGE: [((), (now_ms - rolling_ms) / 1_000 if rolling_ms else 0.0)],
        }

    page.look_up("registry", MEASURES, read)
