"""The parts of `./llmos keys`, `tenants` and `usage` that need no service: options, and what people are shown."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cli import times
from cli.commands import keys as keys_command
from cli.commands import tenants as tenants_command
from cli.keys import options, session, tables, tenants, verbs
from libs.contracts import identity as i
from libs.contracts.permissions import Permission, Role
from libs.kit import clock

DAY_MS = 86_400_000
KEY = i.ApiKey(
    id="key_1", name="till [bold]", prefix="llmos-Ab1_-9", role=Role.MEMBER, created_ms=1, author="ops\x1b[31m",
    tenant="shop", revision=1,
)  # fmt: skip
PROJECT = i.Project(name="shop", organisation="acme", created_ms=1, limits=i.Limits(concurrency=2), revision=5)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What was asked instead of being sent."""
    found: list[tuple[str, Any]] = []
    answers = {
        "key_create": i.IssuedKey(key=KEY, secret="llmos-Ab1_-9xyz"),
        "key_rotate": i.IssuedKey(key=KEY, secret="llmos-Ab1_-9xyz"),
        "key_revoke": KEY,
        "project_change": PROJECT,
    }

    def ask(operation: str, request: Any) -> Any:
        found.append((operation, request))
        return answers[operation]

    monkeypatch.setattr(verbs, "ask", ask)
    monkeypatch.setattr(tenants, "ask", ask)
    return found


def _run(command: Any, *arguments: str) -> Any:
    app = typer.Typer(add_completion=False)
    for verb, run in command.VERBS.items():
        app.command(verb)(run)
    return CliRunner().invoke(app, arguments)


def _printed(draw: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> str:
    draw()
    return capsys.readouterr().out


def test_a_key_is_asked_for_with_all_that_was_said(asked: list[tuple[str, Any]]) -> None:
    words = (
        "create till --tenant shop --role operator --scope jobs:read --scope jobs:write --model a --model b"
        " --expires 30d --tokens-per-minute 9 --budget-tokens 7 --budget-period month"
    )
    result = _run(keys_command, *words.split())

    assert result.exit_code == 0, result.output
    [(operation, wanted)] = asked
    assert operation == "key_create"
    assert abs(wanted.expires_ms - clock.unix_ms() - 30 * DAY_MS) < 600_000
    assert (wanted.tenant, wanted.role, wanted.models) == ("shop", Role.OPERATOR, ("a", "b"))
    assert wanted.scopes == (Permission.JOBS_READ, Permission.JOBS_WRITE)
    assert wanted.limits == i.Limits(tokens_per_minute=9, budget_tokens=7, budget_period="month")


@pytest.mark.parametrize("words", ["create till", "create till --tenant shop --platform"])
def test_whose_a_key_is_must_be_said(words: str, asked: list[tuple[str, Any]]) -> None:
    result = _run(keys_command, *words.split())
    assert result.exit_code == 2
    assert not asked


def test_how_long_the_old_key_stays_is_said_in_any_unit(asked: list[tuple[str, Any]]) -> None:
    for text, seconds in (("0", 0), ("90s", 90), ("12h", 43_200), ("7d", 604_800)):
        assert _run(keys_command, "rotate", "key_1", "--overlap", text).exit_code == 0
        assert asked[-1][1].overlap_s == seconds
    assert _run(keys_command, "rotate", "key_1", "--overlap", "soon").exit_code == 2


def test_closing_and_opening_change_nothing_else(asked: list[tuple[str, Any]]) -> None:
    assert _run(tenants_command, "close", "shop").exit_code == 0
    assert _run(tenants_command, "open", "shop").exit_code == 0
    assert [(one.closed, one.title, one.limits) for _, one in asked] == [(True, None, None), (False, None, None)]


def test_limits_keep_what_is_not_said() -> None:
    before = i.Limits(requests_per_minute=1, budget_tokens=5, budget_period="day")

    def after(**more: Any) -> i.Limits:
        nothing = dict.fromkeys(("requests", "tokens", "concurrency", "budget", "period"))
        return options.limits(before, **{**nothing, **more})

    assert after() == before
    assert after(concurrency=3, requests=0) == i.Limits(concurrency=3, budget_tokens=5, budget_period="day")
    assert after(period="ever") == i.Limits(requests_per_minute=1, budget_tokens=5)
    assert after(budget=0) == i.Limits(requests_per_minute=1), "a period without a budget says nothing"


def test_an_end_is_a_time_from_now_or_a_date() -> None:
    assert times.until_ms("") == 0
    assert abs(times.until_ms("12h") - clock.unix_ms() - 43_200_000) < 600_000
    assert times.until_ms("2027-01-31T00:00:00+00:00") == 1_801_353_600_000
    with pytest.raises(typer.BadParameter):
        times.until_ms("tomorrow")


def test_nothing_that_others_wrote_is_an_order_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for draw in (lambda: tables.keys([KEY]), lambda: tables.key(KEY)):
        text = _printed(draw, capsys)
        assert "till [bold]" in text
        assert "\x1b[31m" not in text


def test_what_has_ended_is_told_from_what_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = clock.unix_ms()
    cases = (
        (0, 0, "✓", "for ever"),
        (now_ms + DAY_MS, 0, "!", "20"),
        (now_ms - DAY_MS, 0, "·", "ended"),
        (0, now_ms, "·", "revoked"),
    )
    for expires_ms, revoked_ms, symbol, words in cases:
        found = msgspec.structs.replace(KEY, tenant="", expires_ms=expires_ms, revoked_ms=revoked_ms)
        text = _printed(partial(tables.keys, [found]), capsys)
        assert symbol in text
        assert words in text
        assert "the platform" in text


def test_use_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [i.UsageRow(day="2026-11-22", tenant="t", key=key, requests=1_000, tokens=5) for key in ("a", "b")]
    assert "2,000" in _printed(lambda: tables.usage(rows), capsys)
    assert "none" in _printed(lambda: tables.usage([]), capsys)


async def test_a_list_is_read_page_after_page() -> None:
    pages = {"": ("a", "b"), "2": ("c", "d")}
    asked: list[tuple[str, int]] = []

    async def call(_: str, request: Any) -> Any:
        asked.append((request.after, request.limit))
        names = pages[request.after][: request.limit]
        return i.OrganisationPage(
            tuple(i.Organisation(name=name, created_ms=1) for name in names), next="2" if not request.after else ""
        )

    found = await session._pages(call, "organisation_list", i.FindOrganisations(), lambda page: page.organisations, 3)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert asked == [("", 3), ("2", 1)]
