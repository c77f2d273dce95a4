"""How keys, projects and their use are shown."""

from collections.abc import Iterable, Sequence
from typing import Final

from cli import show, ui
from libs.contracts.identity import ApiKey, IssuedKey, Limits, Project, UsageRow
from libs.kit import clock

_ENDED: Final = "[dim]·[/dim]"
_SOON_MS: Final = 7 * 86_400_000
_PERIODS: Final = {"": "once", "day": "a day", "month": "a month"}


def keys(found: Iterable[ApiKey]) -> None:
    """A list of keys."""
    now_ms = clock.unix_ms()
    rows = [
        (_symbol(each, now_ms), each.id, show.short(each.name, 32), show.plain(each.prefix) + "…", each.role.value,
         _tenant(each), _ends(each, now_ms), show.when(each.created_ms), show.short(each.author, 32))
        for each in found
    ]  # fmt: skip
    show.table(("", "key", "name", "begins", "role", "project", "until", "since", "made by"), rows)


def key(found: ApiKey) -> None:
    """One key, whole."""
    now_ms = clock.unix_ms()
    show.facts(
        (
            ("Key", f"{_symbol(found, now_ms)} {found.id}"),
            ("Name", show.plain(found.name)),
            ("Begins with", show.plain(found.prefix)),
            ("Role", found.role.value),
            ("Project", _tenant(found)),
            ("Scopes", ", ".join(found.scopes) or "all that its role may do"),
            ("Models", show.plain(", ".join(found.models)) or "all that its project may ask"),
            ("Limits", limits(found.limits)),
            ("Until", _ends(found, now_ms)),
            ("Rotated to", found.rotated_to),
            ("Made", f"{show.when(found.created_ms)} by {show.plain(found.author)}"),
            ("Revision", str(found.revision)),
        )
    )


def issued(found: IssuedKey) -> None:
    """A new key, with its secret where nothing but it is on the line."""
    ui.say(f"{ui.WELL} {found.key.id} of {_tenant(found.key)}, role {found.key.role}  [dim]shown this once:[/dim]\n")
    ui.say(f"  {show.plain(found.secret)}\n")


def projects(found: Iterable[Project]) -> None:
    """A list of projects."""
    rows = [
        (_ENDED if each.closed_ms else ui.WELL, each.name, each.organisation, show.short(each.title, 40),
         limits(each.limits), show.when(each.created_ms), show.when(each.closed_ms) if each.closed_ms else "")
        for each in found
    ]  # fmt: skip
    show.table(("", "project", "organisation", "title", "limits", "since", "closed"), rows)


def limits(found: Limits) -> str:
    """Limits in few words; none at all is said, too."""
    said = [
        f"{amount:,} {unit}"
        for amount, unit in (
            (found.requests_per_minute, "requests/min"),
            (found.tokens_per_minute, "tokens/min"),
            (found.concurrency, "at once"),
            (found.budget_tokens, f"tokens {_PERIODS.get(found.budget_period, found.budget_period)}"),
        )
        if amount
    ]
    return ", ".join(said) or "none"


def usage(found: Sequence[UsageRow]) -> None:
    """What was used, and the sum of it."""
    rows = [
        (each.day, show.plain(each.tenant), show.plain(each.key), f"{each.requests:,}", f"{each.tokens:,}")
        for each in found
    ]
    if rows:
        total = (sum(each.requests for each in found), sum(each.tokens for each in found))
        rows.append(("", "", "[dim]together[/dim]", f"{total[0]:,}", f"{total[1]:,}"))
    show.table(("day (UTC)", "project", "key", "requests", "tokens"), rows)


def _tenant(found: ApiKey) -> str:
    return show.plain(found.tenant) or "the platform"


def _symbol(found: ApiKey, now_ms: int) -> str:
    if found.revoked_ms or 0 < found.expires_ms <= now_ms:
        return _ENDED
    return "[yellow]![/yellow]" if 0 < found.expires_ms <= now_ms + _SOON_MS else ui.WELL


def _ends(found: ApiKey, now_ms: int) -> str:
    if found.revoked_ms:
        return f"revoked {show.when(found.revoked_ms)}"
    if not found.expires_ms:
        return "for ever"
    return show.when(found.expires_ms) if found.expires_ms > now_ms else f"ended {show.when(found.expires_ms)}"
