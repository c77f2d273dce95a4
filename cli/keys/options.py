"""Options that verbs about keys and tenants share, and how they are read."""

import re
from typing import Annotated, Final, Literal

import typer

from libs.contracts.identity import Limits

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Tenant = Annotated[str, typer.Option(metavar="NAME", help="Only of this project.")]
Requests = Annotated[int | None, typer.Option("--requests-per-minute", min=0, help="At most so many; 0 is no limit.")]
Tokens = Annotated[
    int | None, typer.Option("--tokens-per-minute", min=0, help="Of prompt and answer together; 0 is no limit.")
]
Concurrency = Annotated[int | None, typer.Option(min=0, help="Requests at the same time; 0 is no limit.")]
Budget = Annotated[int | None, typer.Option("--budget-tokens", min=0, help="Altogether; 0 is no limit.")]
Period = Annotated[
    Literal["day", "month", "ever"] | None, typer.Option("--budget-period", help="When a budget begins anew (UTC).")
]
_DURATION: Final = re.compile(r"(\d{1,6})([smhd]?)")
_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def limits(
    before: Limits,
    *,
    requests: int | None,
    tokens: int | None,
    concurrency: int | None,
    budget: int | None,
    period: str | None,
) -> Limits:
    """The limits with what is given in place of what was."""
    budget_tokens = before.budget_tokens if budget is None else budget
    budget_period = before.budget_period if period is None else period.replace("ever", "")
    return Limits(
        requests_per_minute=before.requests_per_minute if requests is None else requests,
        tokens_per_minute=before.tokens_per_minute if tokens is None else tokens,
        concurrency=before.concurrency if concurrency is None else concurrency,
        budget_tokens=budget_tokens,
        budget_period=budget_period if budget_tokens else "",
    )


def duration_s(text: str, option: str) -> int:
    """Seconds of `90s`, `30m`, `12h`, `7d`, or a plain number.

    Raises:
        typer.BadParameter: it is none of these.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not like 30m, 12h or 7d", param_hint=option)
    return int(found[1]) * _UNITS_S[found[2]]
