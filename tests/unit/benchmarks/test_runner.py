"""Rotation, warm-up, repetition, and going on after an interruption."""

from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks import loads, runner
from benchmarks.accounting import Role, SystemCpu
from benchmarks.contenders import Contender
from benchmarks.generator import Generator, Target
from benchmarks.records import load_run, save_run
from benchmarks.runner import Runner, Snapshot, UnfitError
from tests.unit.benchmarks.builders import run, window


def contender(name: str, *pids: int) -> Contender:
    roles = tuple(Role(role, pid) for role, pid in zip(("gateway", "engine"), pids, strict=False))
    return Contender(name=name, title=name, version="", target=Target(1, "m", {}, {}), roles=roles)


def test_each_contender_comes_first_equally_often() -> None:
    three = [contender(name) for name in "abc"]
    orders = ["".join(each.name for each in runner.rotated(three, turn)) for turn in range(6)]
    assert orders == ["abc", "bca", "cab", "abc", "bca", "cab"]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([], False), ([5.0], False), ([100.0, 111.2], False), ([100.0, 111.0], True), ([1.0, 50.0, 47.0], True)],
)
def test_a_contender_is_warm_when_two_windows_in_a_row_agree(rates: list[float], expected: bool) -> None:
    assert runner.settled(rates) is expected


def test_a_bystander_is_judged_without_the_processes_it_shares_with_the_contender_under_test() -> None:
    peer = contender("peer", 7, 8)
    before = Snapshot(10.0, {"peer": {"gateway": 1.0, "engine": 5.0}}, SystemCpu(0, 0))
    after = Snapshot(12.0, {"peer": {"gateway": 1.1, "engine": 6.9}}, SystemCpu(0, 0))
    assert runner.idle_percent(before, after, peer, {8}) == pytest.approx(5.0)
    assert runner.idle_percent(before, after, peer, set()) == pytest.approx(100.0)


def test_a_window_is_repeated_because_of_a_bystander_only() -> None:
    assert runner.busiest(window(idle_percent={"a": 5.0, "b": 0.0}, errors=9)) == ""
    assert runner.busiest(window(idle_percent={"a": 2.0, "b": 31.0})) == "b used 31 % of a core"
    assert runner.busiest(window()) == ""


def test_an_interrupted_round_is_measured_again_as_a_whole() -> None:
    kept = [window("a", 0), window("b", 0)]
    torn = [window("a", 1), window("b", 1, discarded="busy"), window("a", 0, "paced-c1")]
    interrupted = run([*kept, *torn])
    assert runner.complete_visits(interrupted) == kept


def test_a_run_survives_storage_unchanged(tmp_path: Path) -> None:
    before = run([window("a", 0, ttft_p50_ms=None), window("b", 0, discarded="busy")])
    save_run(before, tmp_path / "deep/run.json")
    assert load_run(tmp_path / "deep/run.json") == before


def test_what_is_no_run_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"plan": {}}')
    assert load_run(tmp_path / "run.json") is None
    assert load_run(tmp_path / "absent.json") is None


@pytest.fixture
def broken() -> Iterator[Target]:
    """A server that answers everything with 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield Target(server.server_address[1], "m", {}, {})
    server.shutdown()
    thread.join()
    server.server_close()


def small_runner(contenders: list[Contender], generator: Generator, *, rounds: int = 2) -> Runner:
    fresh = run([], rounds=rounds)
    fresh.contenders = [each.info({}) for each in contenders]
    load = next(load for load in loads.MOCK_LOADS if load.name == "burst-c1")
    return Runner(fresh, contenders, [replace(load, warm_s=0.0, window_s=0.05)], generator, lambda _: None)


def test_a_run_visits_everybody_in_every_round_and_goes_on_where_it_was(
    direct: Contender, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "QUIET_PROBE_S", 0.01)
    pair = [direct, replace(direct, name="twin")]
    one = small_runner(pair, generator)
    one.warm(one.loads)
    assert [warmup.contender for warmup in one.run.warmups] == ["direct", "twin"]
    one.measure()
    kept = [each for each in one.run.windows if not each.discarded]
    assert [(each.round, each.contender) for each in kept] == [(0, "direct"), (0, "twin"), (1, "twin"), (1, "direct")]
    assert all(each.figures.all_requests > 0 and each.figures.errors == 0 for each in kept)
    assert sum(each.cpu_s["engine"] for each in kept) > 0

    one.run.windows = kept[:3]
    one.measure()
    again = [each for each in one.run.windows if not each.discarded]
    assert again[:2] == kept[:2]
    assert [(each.round, each.contender) for each in again[2:]] == [(1, "twin"), (1, "direct")]


def test_a_peer_that_fails_is_left_out_and_named(direct: Contender, generator: Generator, broken: Target) -> None:
    peer = replace(direct, name="peer", target=broken, is_peer=True)
    one = small_runner([direct, peer], generator)
    one.warm(one.loads)
    assert [each.name for each in one.contenders] == [each.name for each in one.run.contenders] == ["direct"]
    assert "503" in one.run.not_run["peer"]


def test_without_what_is_to_be_compared_there_is_no_run(
    direct: Contender, generator: Generator, broken: Target
) -> None:
    one = small_runner([replace(direct, name="llmos", target=broken), direct], generator)
    with pytest.raises(UnfitError, match="llmos failed while it was warmed with burst-c1"):
        one.warm(one.loads)
