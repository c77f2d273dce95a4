"""Builds on a real PostgreSQL: what is read, that nothing but the rows decides the bytes, and what is refused."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest_asyncio

from libs.contracts.datasets import Selection, Shape
from libs.contracts.feedback import SignalKind, Source
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.judged import START_MS, in_order, judged_rows, judgement, row, selection
from libs.testkit.judged_store import store
from services.feedback.datasets.builder import reports
from services.feedback.datasets.order import DATA, WORK, Done, Failed, Order, Progress, Report
from services.feedback.datasets.pipeline import Pipeline
from services.feedback.datasets.rows import JoinedRow
from services.feedback.datasets.source import BATCH, snapshot
from services.feedback.migrations import migrate

ROOT = Path(__file__).resolve().parents[3]
END_MS = START_MS + 10**12


@pytest_asyncio.fixture(loop_scope="session")
async def feedback_database(database: PostgresSettings) -> AsyncIterator[PostgresSettings]:
    door = Database(database)
    await migrate(door)
    await door.close()
    yield database


async def _read(settings: PostgresSettings, chosen: Selection) -> list[JoinedRow]:
    door = Database(settings)
    try:
        async with snapshot(door, chosen) as rows:
            found = [one async for batch in rows.rows() for one in batch]
            assert await rows.total() == len(found)
            return found
    finally:
        await door.close()


async def _build(settings: PostgresSettings, chosen: Selection, directory: Path) -> list[Report]:
    await asyncio.to_thread(directory.mkdir)
    async with aclosing(reports(chosen, directory, settings)) as heard:
        return [report async for report in heard]


def _digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((directory / DATA).iterdir())}


def _without_order(rows: Iterable[JoinedRow]) -> list[JoinedRow]:
    return [
        msgspec.structs.replace(one, signals=tuple(sorted(one.signals, key=lambda signal: signal.id))) for one in rows
    ]


async def test_what_is_read_is_what_was_stored_in_the_order_that_the_steps_want(
    feedback_database: PostgresSettings,
) -> None:
    rows = list(judged_rows(BATCH + 300))
    await store(feedback_database, rows)
    found = await _read(feedback_database, selection(until_ms=END_MS))
    assert _without_order(found) == _without_order(in_order(rows))


async def test_only_rows_of_the_selection_are_read(feedback_database: PostgresSettings) -> None:
    up = [judgement(1, SignalKind.THUMB, True, "ann")]
    rows = [
        row(1, "a", "b", up),
        row(2, "a", "b", []),
        row(3, "a", "b", [judgement(3, SignalKind.THUMB, True, "ann")], tenant="other"),
        row(4, "a", "b", [judgement(4, SignalKind.THUMB, True, "ann")], erased=True),
        row(5, "a", "b", [judgement(5, SignalKind.THUMB, True, "ann")], model_version="other@sha256:000000000000"),
        row(6, "a", "b", [judgement(6, SignalKind.THUMB, True, "ann")], time_ms=START_MS - 1),
        row(7, "a", "b", [], episode_id="e1"),
        row(8, "a", "b", [judgement(8, SignalKind.THUMB, True, "ann", of_episode=True)], episode_id="e1"),
        row(9, "a", "b", [judgement(9, SignalKind.THUMB, True, "ann", recorded_ms=END_MS)]),
    ]
    await store(feedback_database, rows)
    chosen = selection(since_ms=START_MS, until_ms=END_MS, model_versions=("helpdesk@sha256:0123456789ab",))
    found = {int(one.request_id, 16): one for one in await _read(feedback_database, chosen)}
    assert sorted(found) == [1, 7, 8, 9]
    assert found[9].signals == ()
    assert [signal.of_episode for signal in found[7].signals] == [True]
    raw = await _read(feedback_database, msgspec.structs.replace(chosen, shape=Shape.RAW))
    assert sorted(int(one.request_id, 16) for one in raw) == [1, 2, 7, 8, 9]


async def test_a_burst_is_counted_over_all_signals_of_a_rater(feedback_database: PostgresSettings) -> None:
    same = {"time_ms": START_MS, "recorded_ms": START_MS}
    rows = [row(n, "a", "b", [judgement(n, SignalKind.THUMB, True, "fast", **same)]) for n in range(1, 42)]
    rows += [row(n, "a", "b", [judgement(n, SignalKind.THUMB, True, "calm")]) for n in range(50, 90)]
    rows += [
        row(n, "a", "b", [judgement(n, SignalKind.THUMB, True, "app", source=Source.COPIED, **same)])
        for n in range(100, 150)
    ]
    await store(feedback_database, rows)
    door = Database(feedback_database)
    chosen = selection(until_ms=END_MS)
    async with snapshot(door, chosen) as found:
        assert await found.bursts() == {("fast", START_MS // 60_000)}
    async with snapshot(door, msgspec.structs.replace(chosen, include_implicit=True)) as found:
        assert {rater for rater, _ in await found.bursts()} == {"fast", "app"}
    await door.close()


async def test_order_of_insertion_hash_seed_and_repetition_change_no_byte(
    feedback_database: PostgresSettings, tmp_path: Path
) -> None:
    rows = list(judged_rows(1_500))
    await store(feedback_database, rows)
    chosen = selection(Shape.PREFERENCE, until_ms=END_MS, redact=True)
    for name in ("first", "again"):
        last = (await _build(feedback_database, chosen, tmp_path / name))[-1]
        assert isinstance(last, Done), last
    shuffled = rows.copy()
    random.Random(7).shuffle(shuffled)
    door = Database(feedback_database)
    async with door.begin() as connection:
        await connection.exec_driver_sql("truncate feedback.signals, feedback.contents, feedback.interactions")
    await door.close()
    await store(feedback_database, shuffled)
    await _build(feedback_database, chosen, tmp_path / "shuffled")
    await asyncio.to_thread(_build_with_hash_seed, feedback_database, chosen, tmp_path / "seeded")
    first = _digests(tmp_path / "first")
    assert set(first) == {
        "README.md", "manifest.json", "put_aside.jsonl", "row_ids.txt", "test.jsonl", "test.parquet", "train.jsonl",
        "train.parquet",
    }  # fmt: skip
    for name in ("again", "shuffled", "seeded"):
        assert _digests(tmp_path / name) == first, name


def _build_with_hash_seed(settings: PostgresSettings, chosen: Selection, directory: Path) -> None:
    directory.mkdir()
    order = Order(
        selection=chosen,
        directory=str(directory),
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.secret(),
        database=settings.database,
    )
    program = subprocess.Popen(
        [sys.executable, "-m", "services.feedback.datasets"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "4242"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(msgspec.json.encode(order) + b"\n")
    program.stdin.flush()
    last = msgspec.json.decode(program.stdout.read().splitlines()[-1], type=Report)
    assert isinstance(last, Done), last
    assert program.wait(30) == 0


async def test_what_the_process_builds_is_what_the_steps_build(
    feedback_database: PostgresSettings, tmp_path: Path
) -> None:
    rows = list(judged_rows(400))
    await store(feedback_database, rows)
    chosen = selection(Shape.KTO, until_ms=END_MS)
    said = await _build(feedback_database, chosen, tmp_path / "process")
    assert isinstance(said[0], Progress)
    assert said[0].rows_total == 400
    for name in (DATA, WORK):
        (tmp_path / "here" / name).mkdir(parents=True)
    pipeline = Pipeline(chosen, tmp_path / "here" / DATA, tmp_path / "here" / WORK)
    pipeline.feed(in_order(rows))
    built = pipeline.finish()
    last = said[-1]
    assert isinstance(last, Done)
    assert (last.rows, last.counts, last.rows_read) == (built.rows, built.counts, 400)
    assert _digests(tmp_path / "process") == _digests(tmp_path / "here")


async def test_an_empty_result_is_refused_with_the_counts(feedback_database: PostgresSettings, tmp_path: Path) -> None:
    await store(feedback_database, [row(1, "a", "b", [judgement(1, SignalKind.THUMB, False, "ann")])])
    last = (await _build(feedback_database, selection(until_ms=END_MS), tmp_path / "out"))[-1]
    assert isinstance(last, Failed)
    assert last.code == "invalid_value"
    assert last.counts["labelled"] == 1
    assert last.counts["usable"] == 0
    assert "judged_badly 1" in last.message


async def test_a_database_that_is_away_is_said_as_such(database: PostgresSettings, tmp_path: Path) -> None:
    away = database.model_copy(update={"port": 1})
    last = (await _build(away, selection(until_ms=END_MS), tmp_path / "out"))[-1]
    assert isinstance(last, Failed)
    assert last.code == "storage_unavailable"


async def test_the_process_ends_when_nobody_waits_for_it_any_more(
    feedback_database: PostgresSettings, tmp_path: Path
) -> None:
    await store(feedback_database, judged_rows(3_000))
    directory = tmp_path / "out"
    directory.mkdir()
    heard = reports(selection(until_ms=END_MS), directory, feedback_database)
    first = await anext(heard)
    assert isinstance(first, Progress)
    await heard.aclose()
    assert not (directory / DATA / "manifest.json").exists()
