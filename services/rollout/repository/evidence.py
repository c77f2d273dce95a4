"""What was observed of requests and said by people: taken in, calibrated, counted."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import Guard, RolloutPlan
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts

CALIBRATION: Final = 100
"""Outcomes of the last good version that say what is slow and what is odd, per step."""
_IN_SIGHT: Final = 3
"""Guards that need calibration."""
_IN_SHADOW: Final = 2
"""The same without first tokens."""

# Of a rollout: what is counted, each outcome with what it measured. Mirrored answers count in shadow steps alone, and
# nothing else of the candidate counts there. They run in the batch class, so their first tokens wait, and so does an
# answer that does not come as a stream.
_MEASURED: Final = """
with counted as (
    select step, candidate, sequence, outcome, fault,
        case when stream and first_token_ms > 0 and step <> all(:shadow) then first_token_ms end as first_token,
        case
            when stream and first_token_ms > 0 and completion_tokens > 1
                then (total_ms - first_token_ms)::float8 / (completion_tokens - 1)
            when not stream and completion_tokens > 0 and step <> all(:shadow)
                then total_ms::float8 / completion_tokens
        end as token,
        completion_tokens as length
    from rollout.outcomes
    where rollout = :rollout and step <= :step and mirror = (candidate and step = any(:shadow))
), measured as (
    select step, candidate, sequence, guard, value
    from counted cross join lateral (values
        ('slow_first_token', first_token::float8), ('slow_token', token), ('odd_length', length::float8)
    ) as one (guard, value)
    where outcome = 'ok' and value is not null
)
"""
_CALIBRATE: Final = (
    _MEASURED  # noqa: S608 - constants alone
    + """
, first as (
    select guard, value, sequence, row_number() over (partition by guard order by sequence) as place
    from measured
    where not candidate and step = :step
)
insert into rollout.thresholds (rollout, step, guard, low, high, through)
select :rollout, :step, guard,
    case guard when 'odd_length' then percentile_disc(0.01) within group (order by value) else '-infinity' end,
    percentile_disc(case guard when 'odd_length' then 0.99 else 0.95 end) within group (order by value),
    max(sequence)
from first
where place <= :enough
group by guard
having count(*) = :enough
on conflict do nothing
"""
)
_COUNT: Final = (
    _MEASURED  # noqa: S608 - constants alone
    + """
select step, guard, candidate, count(*) as total, count(*) filter (where bad) as bad
from (
    select step, 'error' as guard, candidate, outcome = 'error' as bad
    from counted
    where outcome = 'ok' or (outcome = 'error' and fault)
    union all
    select step, guard, candidate, value < low or value > high or (guard = 'odd_length' and value = 0)
    from measured join rollout.thresholds using (step, guard)
    where thresholds.rollout = :rollout and (candidate or sequence > through)
) as judged
group by step, guard, candidate
"""
)
# The last thumb of each rater counts; all of them, under no tag too. First appearances are those of superseded ones,
# too, so that the order of tags never changes.
_THUMBS: Final = """
with heard as (
    select step, candidate, up, tags, thumbs.sequence,
        row_number() over (partition by request_id, rater order by thumbs.time_ms desc, signal_id desc) = 1 as counts
    from rollout.outcomes join rollout.thumbs using (request_id)
    where outcomes.rollout = :rollout and not mirror and step <= :step and step <> all(:shadow)
)
select tag, step, candidate, min(sequence) as first, count(*) filter (where counts) as total,
    count(*) filter (where counts and not up) as bad
from heard cross join lateral unnest(array_prepend('', tags)) as tag
group by tag, step, candidate
"""
_UNITS: Final = """
select count(distinct sticky) as asked, count(distinct sticky) filter (where exists (
    select 1 from rollout.thumbs where thumbs.request_id = outcomes.request_id)) as judged
from rollout.outcomes
where rollout = :rollout and step = :step and not candidate and (outcome = 'ok' or (outcome = 'error' and fault))
"""
_CALIBRATED: Final = "select count(*) from rollout.thresholds where rollout = :rollout and step = :step"
_AGREEMENT: Final = "select avg(agreement) as mean from rollout.outcomes where rollout = :rollout and mirror"


async def calibrate(connection: AsyncConnection, rollout: str, plan: RolloutPlan, step: int) -> None:
    """Write down what is slow and what is odd in the present step, once enough is known of the last good version."""
    values = _values(rollout, plan, step)
    known = (await connection.execute(text(_CALIBRATED), values)).scalar_one()
    if known < (_IN_SHADOW if step in values["shadow"] else _IN_SIGHT):
        await connection.execute(text(_CALIBRATE), {**values, "enough": CALIBRATION})


async def gather(connection: AsyncConnection, rollout: str, plan: RolloutPlan, step: int) -> Evidence:
    """Everything counted up to the present step."""
    values = _values(rollout, plan, step)
    guards: dict[Guard, _Tallies] = {guard: _Tallies(step + 1) for guard in Guard}
    for row in await connection.execute(text(_COUNT), values):
        guards[Guard(row.guard)].put(row)
    tags: defaultdict[str, _Tallies] = defaultdict(lambda: _Tallies(step + 1))
    for row in await connection.execute(text(_THUMBS), values):
        tallies = tags[row.tag] if row.tag else guards[Guard.DISAPPROVAL]
        tallies.put(row)
        tallies.appeared(row.first)
    return Evidence(
        guards={guard: tallies.arms() for guard, tallies in guards.items()},
        tags={tag: tags[tag].arms() for tag in sorted(tags, key=lambda tag: tags[tag].first)},
        units=await _units(connection, values, guards),
    )


async def _units(
    connection: AsyncConnection, values: dict[str, Any], guards: Mapping[Guard, "_Tallies"]
) -> dict[Guard, int]:
    """Asked only where the candidate is silent: it costs more than everything else."""
    if all(tallies.arms()[-1].candidate.total for tallies in guards.values()):
        return {}
    row = (await connection.execute(text(_UNITS), values)).one()
    return {guard: row.judged if guard is Guard.DISAPPROVAL else row.asked for guard in Guard}


async def agreement(connection: AsyncConnection, rollout: str) -> float | None:
    """Mean over mirrored answers; None if there are none."""
    mean = (await connection.execute(text(_AGREEMENT), {"rollout": rollout})).scalar()
    return None if mean is None else float(mean)


class _Tallies:
    """Counts per step and arm."""

    def __init__(self, steps: int) -> None:
        self._counts = [{True: Counts(), False: Counts()} for _ in range(steps)]
        self.first = math.inf
        """Number of the thumb with which it first appeared."""

    def put(self, row: Any) -> None:
        """Note one group."""
        self._counts[row.step][row.candidate] = Counts(row.total, row.bad)

    def appeared(self, number: int) -> None:
        """Note a thumb."""
        self.first = min(self.first, number)

    def arms(self) -> Sequence[Arms]:
        """One stratum per step."""
        return [Arms(one[True], one[False]) for one in self._counts]


def _values(rollout: str, plan: RolloutPlan, step: int) -> dict[str, Any]:
    shadow = [number for number, one in enumerate(plan.steps) if one.shadow]
    return {"rollout": rollout, "step": step, "shadow": shadow}
