"""The parts of `./llmos feedback` that need no gateway: rows of files, ratings, times, and text of others."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from rich.console import Console

from cli import address, settings, show, times, ui
from cli.feedback import give, importing, rows, tables
from cli.feedback.door import Door
from deploy.local.errors import StackError
from libs.contracts.feedback import Interaction, Signal, SignalKind, StatisticsRow
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.testkit.ports import free_port

ANSWER = "chatcmpl-" + "ab" * 12


def _read(tmp_path: Path, name: str, content: bytes) -> list[rows.Row]:
    path = tmp_path / name
    path.write_bytes(content)
    return list(rows.read(path))


def test_json_lines_are_read_with_their_line_numbers_and_what_is_broken_is_said(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "a.jsonl",
        b'\xef\xbb\xbf{"kind":"thumb"}\n\n{"kind":\n[1]\n{"value":"\xff"}\n{"x":"'
        + b"y" * rows.MAX_LINE_BYTES
        + b'"}\n'
        + b"[" * 5_000
        + b'\n{"kind":"score"}',
    )
    assert [(row.line, row.body is not None) for row in found] == [
        (1, True), (3, False), (4, False), (5, False), (6, False), (7, False), (8, True),
    ]  # fmt: skip
    assert [row.fault.split(":")[0] for row in found if row.fault] == [
        "not JSON", "not a JSON object", "not JSON", f"the line is longer than {rows.MAX_LINE_BYTES} bytes", "not JSON",
    ]  # fmt: skip
    assert found[-1].end_bytes == (tmp_path / "a.jsonl").stat().st_size


def test_csv_cells_become_what_their_kind_wants(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "a.csv",
        "\ufeffinference_id,kind,value,tags,time_ms,rater\r\n"
        f"{ANSWER},thumb,up,a; b;,5,ann\r\n"
        f"{ANSWER},thumb,0,,,\r\n"
        f"{ANSWER},score,0.5,,,\r\n"
        f"{ANSWER},score,good,,soon,\r\n"
        f'{ANSWER},comment,"two\nlines, ""quoted""",,,\r\n'
        f"{ANSWER},comment,0,,,\r\n".encode(),
    )
    assert [row.line for row in found] == [2, 3, 4, 5, 6, 8]
    bodies: list[dict[str, Any]] = [row.body or {} for row in found]
    assert bodies[0] == {
        "inference_id": ANSWER, "kind": "thumb", "value": True, "tags": ["a", "b"], "time_ms": 5, "rater": "ann",
    }  # fmt: skip
    assert [body["value"] for body in bodies[1:]] == [False, 0.5, "good", 'two\nlines, "quoted"', "0"]
    assert bodies[3]["time_ms"] == "soon", "the gateway says what is wrong with it"
    assert not {"tags", "time_ms", "rater"} & set(bodies[1])


def test_broken_csv_rows_are_refused_where_they_stand(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "a.csv",
        b"kind,value\nthumb,up\nthumb,up,more\nthumb\ncomment,\xff\ncomment,"
        + b"x" * (3 << 20)
        + b'\nthumb,"down"x\nthumb,down\n\ncomment,"never closed\n',
    )
    assert [(row.line, row.fault.split(":")[0]) for row in found] == [
        (2, ""), (3, "3 cells under 2 columns"), (4, "1 cells under 2 columns"), (5, "not UTF-8"), (6, "not CSV"),
        (7, "not CSV"), (8, ""), (10, "not CSV"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"kind,stars\n", "stars"),
        ("a.csv", b"kind,kind\n", "once"),
        ("a.csv", b"", "columns"),
        ("a.txt", b"x", "neither"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(StackError, match=said):
        _read(tmp_path, name, content)


class _Counted(Door):
    """Takes what says `up`, refuses what says `bad`, and breaks on `away`."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "k", patience_s=0)
        self.given: list[tuple[Any, str]] = []

    async def give_all(self, judgements: Sequence[tuple[dict[str, Any], str]]) -> list[ServiceError | None]:
        self.given.extend(judgements)
        await asyncio.sleep(0)
        values = [body.get("value") for body, _ in judgements]
        if "away" in values:
            raise ServiceError("bus_unavailable", "Nobody.")
        return [ServiceError("invalid_value", "Not this.", param="value") if one == "bad" else None for one in values]


def _import(path: Path) -> tuple[importing.Result, _Counted]:
    result, door = importing.Result(), _Counted()
    asyncio.run(importing._send_all(importing._judgements(path, result), result, door, lambda _: None))
    return result, door


def test_a_row_has_the_same_key_in_every_file_and_every_run_and_counts_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text('{"kind":"thumb","value":"up"}\n{"value":"up","kind":"thumb"}\nnonsense\n{"value":"bad"}\n')
    second.write_text('{"value":"other"}\n{"kind":"thumb", "value":"up", "time_ms":5}\n{"kind":"thumb","value":"up"}\n')
    result, door = _import(first)
    assert (result.rows, result.taken, result.repeated) == (4, 1, 1)
    assert [(each.line, each.code) for each in result.refused] == [(3, "invalid_value"), (4, "invalid_value")]
    _, again = _import(second)
    keys = {key for _, key in door.given} & {key for _, key in again.given}
    assert len(keys) == 1
    assert all(key.isascii() and len(key) <= 255 for _, key in door.given)


def test_a_row_without_a_time_was_given_when_the_file_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"value":"up"}\n{"value":"up","time_ms":5,"source":"explicit"}\n')
    _, door = _import(path)
    given = sorted((body["time_ms"], body["source"]) for body, _ in door.given)
    assert given == [(5, "explicit"), (path.stat().st_mtime_ns // 1_000_000, "imported")]


def test_what_is_not_the_rows_own_fault_ends_the_import(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"value":"{"away" if number == 50 else number}"}}\n' for number in range(1_000)))
    with pytest.raises(ServiceError, match="Nobody"):
        _import(path)


def test_a_file_goes_in_requests_of_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"value":"{"x" * 600}{number}"}}\n' for number in range(1_200)))
    parts = list(importing._parts(importing._judgements(path, importing.Result())))
    assert [row.line for part in parts for row, _ in part] == list(range(1, 1_201))
    assert max(sum(len(row.text) for row, _ in part) for part in parts) <= 256 << 10
    assert len(parts) == 3


async def test_a_door_is_patient_with_a_gateway_that_is_away_and_then_says_so() -> None:
    begun_s = clock.monotonic_s()
    async with Door(f"http://127.0.0.1:{free_port()}", "k", patience_s=0.5) as door:
        with pytest.raises(ServiceError, match="No gateway answers"):
            await door.give({}, "one")
    assert 0.2 <= clock.monotonic_s() - begun_s < 5


@pytest.mark.parametrize(
    ("rating", "comment", "better", "expected"),
    [
        ("up", "", "", [(SignalKind.THUMB, True)]),
        ("down", "bad", "", [(SignalKind.THUMB, False), (SignalKind.COMMENT, "bad")]),
        ("0.25", "", "So.", [(SignalKind.SCORE, 0.25), (SignalKind.DEMONSTRATION, "So.")]),
        ("", "hm", "", [(SignalKind.COMMENT, "hm")]),
    ],
)
def test_each_thing_that_was_said_is_a_judgement(rating: str, comment: str, better: str, expected: Any) -> None:
    assert give._judgements(rating, comment, better) == expected


@pytest.mark.parametrize("rating", ["", "sideways"])
def test_nothing_said_is_a_mistake(rating: str) -> None:
    with pytest.raises(typer.BadParameter):
        give._judgements(rating, "", "")


def test_times_are_ages_or_dates() -> None:
    now_ms = clock.unix_ms()
    assert times.since_ms("") == 0
    assert abs(now_ms - 2 * 86_400_000 - times.since_ms("2d")) < 1_000
    assert abs(now_ms - 30 * 60_000 - times.since_ms("30m")) < 1_000
    assert times.since_ms("2026-01-02T03:04:05+00:00") == 1_767_323_045_000
    for nonsense in ("soon", "-1d", "9999999d", "2026-13-01"):
        with pytest.raises(typer.BadParameter):
            times.since_ms(nonsense)


def test_text_of_others_neither_colours_nor_moves_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ui, "out", Console(highlight=False, width=200, force_terminal=True))
    hostile = "[red]x[/red] \x1b[2J\x9b0m\r\x07 [/] [link=file:///x]"
    signal = Signal(
        id="s", tenant=hostile, kind=SignalKind.COMMENT, value=hostile, time_ms=1, recorded_ms=1, rater=hostile,
        tags=(hostile,),
    )  # fmt: skip
    interaction = Interaction(
        request_id="r", inference_id=hostile, tenant=hostile, time_ms=1, model=hostile, model_version=hostile,
        outcome="ok", user=hostile, episode_id=hostile,
        messages=msgspec.Raw(msgspec.json.encode([{"role": hostile, "content": hostile}, {"content": [{"text": "p"}]},
                                                  7, {"role": "user", "content": None, "tool_calls": [hostile]}])),
        answer=msgspec.Raw(msgspec.json.encode({"role": "assistant", "content": hostile})), signals=(signal,),
    )  # fmt: skip
    tables.interactions([interaction])
    tables.interaction(interaction)
    tables.statistics(
        [StatisticsRow(group={"tag": hostile}, approval=0.5, approval_low=0.2, approval_high=0.8)], ["tag"]
    )
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "50% (20% to 80%)" in shown
    assert not any(order in shown for order in ("\x1b[2J", "\x9b", "\x07", "\x1b[31mx", "\x1b]8"))


def _signal(number: int, kind: SignalKind, value: bool | float | str, **more: Any) -> Signal:
    return Signal(id=str(number), tenant="t", kind=kind, value=value, time_ms=number, recorded_ms=number, **more)


def test_judgements_in_one_line_are_those_that_hold() -> None:
    few = [
        _signal(1, SignalKind.THUMB, True),
        _signal(2, SignalKind.THUMB, False, supersedes="1"),
        _signal(3, SignalKind.SCORE, 0.5),
        _signal(0, SignalKind.SCORE, 0.9, superseded_by="3"),
    ]
    assert tables.summary(few) == "[red]down[/red], 0.5"
    many = [_signal(number, SignalKind.THUMB, number % 3 > 0) for number in range(9)]
    assert tables.summary([*many, _signal(9, SignalKind.COMMENT, "[x]")]) == (
        "6 [green]up[/green], 3 [red]down[/red], 1 comment"
    )


def test_a_table_of_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ui, "say", said.append)
    show.table(("a",), [])
    assert "none" in said[0]


def test_judgements_are_given_with_an_ordinary_key(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"LLMOS_BASE_URL": "http://x/v1", "LLMOS_ADMIN_KEY": "admin"}
    monkeypatch.setattr(settings, "environment", lambda: named)
    with pytest.raises(StackError, match="LLMOS_API_KEY"):
        address.user()
    monkeypatch.setattr(settings, "environment", lambda: named | {"LLMOS_API_KEY": "k"})
    assert address.user() == ("http://x/v1", "k")
