"""What Prometheus can read of feedback: what was taken in, what waits, what could not be taken."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry

from libs.contracts.feedback import SignalKind
from libs.kit.metrics.measure import Measure, counter, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import age_s, ask, by_name
from libs.kit.page import Page
from libs.kit.postgres import Database

_INTERACTIONS: Final = counter("llmos_feedback_interactions", "Interactions taken in, repeats included.", "part")
_SIGNALS: Final = counter("llmos_feedback_signals", "Judgements that were recorded.", "kind")
_DEAD: Final = counter("llmos_feedback_dead_letters", "Messages that could not be taken in.", "code")
_PENDING: Final = gauge("llmos_feedback_pending_signals", "Judgements whose interaction has not come, 10,000 at most.")
_BUILDS: Final = gauge("llmos_feedback_dataset_builds", "Data sets that are built or wait for it.", "state")
_OLDEST: Final = gauge("llmos_feedback_oldest_build_seconds", "How long the oldest of them is on its way; 0: none is.")

_READ: Final = (_PENDING, _BUILDS, _OLDEST)
MEASURES: Final = (*_READ, _INTERACTIONS, _SIGNALS, _DEAD)

COUNTED: Final = CollectorRegistry()
INTERACTIONS: Final = _INTERACTIONS.counter(COUNTED)
SIGNALS: Final = _SIGNALS.counter(COUNTED)
DEAD: Final = _DEAD.counter(COUNTED)

_WAITING: Final = "select count(*) from (select 1 from feedback.pending_signals limit 10000) counted"
_JOBS: Final = """
select state, count(*), min(created_ms) from feedback.dataset_jobs
where state in ('queued', 'running', 'publishing') group by state
"""


def kept(*, completed: int, contents: int) -> None:
    """Count interactions that were taken in, and of how many of them the text."""
    INTERACTIONS.labels("metadata").inc(completed)
    INTERACTIONS.labels("content").inc(contents)


def judged(kinds: Iterable[SignalKind]) -> None:
    """Count judgements that were recorded; once for each kind and batch, for a batch has many."""
    for kind, number in Counter(kinds).items():
        SIGNALS.labels(kind.value).inc(number)


def died(codes: Iterable[str]) -> None:
    """Count dead letters, by why they are."""
    for code, number in Counter(codes).items():
        DEAD.labels(code).inc(number)


def show(page: Page, database: Database) -> None:
    """Show what was taken in and what waits."""

    async def read() -> dict[Measure, Rows]:
        waiting, jobs = await ask(database, _WAITING, _JOBS)
        return {
            _PENDING: [((), waiting[0][0])],
            _BUILDS: by_name(jobs, ("queued", "running", "publishing")),
            _OLDEST: age_s(min((row[2] for row in jobs), default=None)),
        }

    page.look_up("feedback", _READ, read)
    page.show(COUNTED)
