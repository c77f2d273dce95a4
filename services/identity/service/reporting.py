"""What was used, by day."""

from datetime import date
from typing import Final

from libs.contracts.identity import FindUsage, UsageReport, UsageRow
from libs.kit.errors import ServiceError
from libs.kit.serving import Operation
from services.identity.domain.checks import check_text
from services.identity.ground import Ground
from services.identity.repository import usage
from services.identity.service.paging import check_limit, fitting

_BETWEEN: Final = " "
"""In a cursor; no day, tenant or key holds one."""


class Reporting:
    """Reads the figures that the limits' side adds to."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def operations(self) -> dict[str, Operation]:
        """One call."""
        return {"usage": self.usage}

    async def usage(self, request: FindUsage) -> UsageReport:
        """One page, by day, tenant and key; days are those of UTC.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = check_limit(request.limit)
        for param in ("tenant", "key"):
            check_text(getattr(request, param), param)
        since = _day(request.since_day, "since_day", date.min)
        until = _day(request.until_day, "until_day", date.max)
        async with self._ground.database.begin() as connection:
            found = await usage.page(
                connection, request, days=(since, until), after=_place(request.after), limit=limit + 1
            )
        shown = found[: min(limit, fitting(found))]
        return UsageReport(tuple(shown), next=_cursor(shown[-1]) if len(shown) < len(found) else "")


def _day(text: str, param: str, otherwise: date) -> date:
    if not text:
        return otherwise
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        text = f"`{param}` must be a day such as 2026-11-22."
        raise ServiceError("invalid_value", text, param=param) from error


def _cursor(row: UsageRow) -> str:
    return _BETWEEN.join((row.day, row.tenant, row.key))


def _place(after: str) -> tuple[date, str, str] | None:
    if not after:
        return None
    check_text(after, "after")
    words = after.split(_BETWEEN)
    if len(words) != 3:
        raise ServiceError("invalid_value", "`after` must be `next` of another page.", param="after")
    return _day(words[0], "after", date.min), words[1], words[2]
