"""What Prometheus can read of rollouts and loops; decisions are counted where they are carried out."""

from typing import Final

from prometheus_client import CollectorRegistry

from libs.contracts.rollouts import Decision, RolloutState, TurnState
from libs.kit.leader import Leader
from libs.kit.metrics.measure import Measure, counter, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import age_s, ask, by_name
from libs.kit.page import Page
from libs.kit.postgres import Database

_LEADS: Final = gauge("llmos_rollout_leads", "1 while this process carries rollouts and loops on.")
_ROLLOUTS: Final = gauge("llmos_rollout_rollouts", "Rollouts, those that have ended included.", "state")
_ROLLOUT_AGE: Final = gauge("llmos_rollout_oldest_seconds", "How long a running rollout is unchanged; 0: none runs.")
_LOOPS: Final = gauge("llmos_rollout_loops", "Loops that are declared.")
_TURNS: Final = gauge("llmos_rollout_turns", "Turns of loops, those that have ended included.", "state")
_TURN_AGE: Final = gauge("llmos_rollout_oldest_turn_seconds", "How long the oldest running turn runs; 0: none does.")
_DECISIONS: Final = counter("llmos_rollout_decisions", "Decisions that changed a rollout.", "action")
_HARM: Final = counter("llmos_rollout_harm", "Times that a guard saw harm when a rollout was changed.", "guard")

_READ: Final = (_LEADS, _ROLLOUTS, _ROLLOUT_AGE, _LOOPS, _TURNS, _TURN_AGE)
MEASURES: Final = (*_READ, _DECISIONS, _HARM)

COUNTED: Final = CollectorRegistry()
DECISIONS: Final = _DECISIONS.counter(COUNTED)
HARM: Final = _HARM.counter(COUNTED)

_ROLLOUT_STATES: Final = "select state, count(*) from rollout.rollouts group by state"
_TURN_STATES: Final = "select state, count(*) from rollout.turns group by state"
_OLDEST: Final = """
select
    (select min(changed_ms) from rollout.rollouts where state in
        ('preparing', 'running', 'promoting', 'watching', 'rolling_back')),
    (select min(began_ms) from rollout.turns where state in ('selecting', 'training', 'rolling_out')),
    (select count(*) from rollout.loops)
"""


def decided(decision: Decision | None) -> None:
    """Count a decision that was carried out, and what its guards saw."""
    if decision is None:
        return
    DECISIONS.labels(decision.action).inc()
    for guard in {found.guard for found in decision.findings if found.harm}:
        HARM.labels(guard.value).inc()


def show(page: Page, database: Database, leader: Leader) -> None:
    """Show rollouts and loops."""

    async def read() -> dict[Measure, Rows]:
        rollouts, turns, oldest = await ask(database, _ROLLOUT_STATES, _TURN_STATES, _OLDEST)
        rollout_ms, turn_ms, loops = oldest[0]
        return {
            _LEADS: [((), float(leader.leads))],
            _ROLLOUTS: by_name(rollouts, [state.value for state in RolloutState]),
            _ROLLOUT_AGE: age_s(rollout_ms),
            _LOOPS: [((), loops)],
            _TURNS: by_name(turns, [state.value for state in TurnState]),
            _TURN_AGE: age_s(turn_ms),
        }

    page.look_up("rollouts", _READ, read)
    page.show(COUNTED)
