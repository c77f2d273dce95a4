"""What Prometheus can read of a trainer: the jobs, however many trainers there are."""

from typing import Final

from libs.contracts.training import JobKind, JobState
from libs.kit.metrics.measure import Measure, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import age_s, ask
from libs.kit.page import Page
from libs.kit.postgres import Database

_JOBS: Final = gauge("llmos_trainer_jobs", "Jobs, those that have ended included.", "kind", "state")
_WAITING: Final = gauge("llmos_trainer_oldest_queued_seconds", "How long the oldest queued job waits; 0: none does.")
_RUNNING: Final = gauge("llmos_trainer_oldest_unchanged_seconds", "How long a claimed job is in its state; 0: none is.")
_DEATHS: Final = gauge("llmos_trainer_deaths", "Deaths in a row of the process of the job that dies most; 0: none.")

MEASURES: Final = (_JOBS, _WAITING, _RUNNING, _DEATHS)

_COUNT: Final = "select kind, state, count(*) from trainer.jobs group by kind, state"
_OLDEST: Final = """
select min(changed_ms) filter (where state = 'queued'),
       min(changed_ms) filter (where state in ('claimed', 'running', 'publishing', 'evaluating')),
       max(deaths)
from trainer.jobs where state not in ('succeeded', 'failed', 'cancelled')
"""


def show(page: Page, database: Database) -> None:
    """Show the jobs."""

    async def read() -> dict[Measure, Rows]:
        counted, oldest = await ask(database, _COUNT, _OLDEST)
        counts = {(kind, state): float(count) for kind, state, count in counted}
        names = [(kind.value, state.value) for kind in JobKind for state in JobState]
        queued_ms, unchanged_ms, deaths = oldest[0]
        return {
            _JOBS: [(name, counts.get(name, 0.0)) for name in names],
            _WAITING: age_s(queued_ms),
            _RUNNING: age_s(unchanged_ms),
            _DEATHS: [((), deaths or 0)],
        }

    page.look_up("jobs", MEASURES, read)
