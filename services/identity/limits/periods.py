"""Periods of budgets: days and months of UTC, or one that never ends."""

from datetime import UTC, datetime, timedelta

from libs.contracts.identity import Limits


def period_of(limits: Limits, now_ms: int) -> tuple[str, int]:
    """The budget's period that holds `now_ms`, and when it ends; 0 for never."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if limits.budget_period == "day":
        return f"{now:%Y-%m-%d}", _ms(midnight + timedelta(days=1))
    if limits.budget_period == "month":
        # Any month has ended 31 days after its first day, and the next one has not.
        return f"{now:%Y-%m}", _ms((midnight.replace(day=1) + timedelta(days=31)).replace(day=1))
    return "ever", 0


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
