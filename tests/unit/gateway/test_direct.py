"""Whom a gateway hands a request to by itself: only whom every scheduler names, and only for as long as that holds."""

from collections import Counter

import pytest

from libs.contracts.inference import DIRECT_LEASE_S, DirectWorkers, ServedModel, WorkerBeat, WorkerState
from libs.kit import clock
from services.gateway.direct import AVOIDED_S, Direct
from services.gateway.fleet import Fleet

GATEWAY = "g1"
"""Of equal workers it prefers `a`."""


class Watch:
    """A clock that a test moves."""

    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(clock, "monotonic_s", watch.monotonic_s)
    return watch


def _beat(
    worker: str,
    *,
    capacity: int = 2,
    adapter: bool = False,
    model: str = "m",
    state: WorkerState = WorkerState.READY,
) -> WorkerBeat:
    return WorkerBeat(
        worker=worker,
        name=worker,
        pool="default",
        state=state,
        capacity=capacity,
        models=(ServedModel(name=model, adapter=adapter),),
        engine="none",
    )


def _direct(*beats: WorkerBeat, named: tuple[str, ...] = ("a", "b"), scheduler: str = "s1") -> Direct:
    fleet = Fleet()
    for beat in beats or (_beat("a"), _beat("b")):
        fleet.hear(beat)
    direct = Direct(fleet, GATEWAY)
    direct.hear(DirectWorkers(scheduler, "default", named))
    return direct


def test_nobody_is_chosen_before_a_scheduler_has_named_anybody() -> None:
    fleet = Fleet()
    fleet.hear(_beat("a"))
    assert Direct(fleet, GATEWAY).choose("default", "m") == ""


def test_the_least_loaded_by_us_is_chosen_and_none_beyond_its_capacity() -> None:
    direct = _direct(_beat("b"), _beat("a", capacity=1))
    order = []
    for _ in range(4):
        order.append(direct.choose("default", "m"))
        if order[-1]:
            direct.take(order[-1])
    assert order == ["a", "b", "b", ""]
    direct.give_back("b", in_vain=False)
    assert direct.choose("default", "m") == "b"


def test_of_equal_workers_gateways_prefer_each_its_own() -> None:
    fleet = Fleet()
    for worker in ("a", "b", "c", "d"):
        fleet.hear(_beat(worker))
    chosen = Counter[str]()
    for number in range(100):
        direct = Direct(fleet, f"g{number}")
        direct.hear(DirectWorkers("s1", "default", ("a", "b", "c", "d")))
        chosen[direct.choose("default", "m")] += 1
    assert chosen.keys() == {"a", "b", "c", "d"}
    assert max(chosen.values()) < 50


def test_a_resident_adapter_goes_before_load() -> None:
    direct = _direct(_beat("a"), _beat("b", adapter=True))
    direct.take("b")
    assert direct.choose("default", "m") == "b"


@pytest.mark.parametrize(
    ("pool", "model"), [("other", "m"), ("default", "n")], ids=["of another pool", "for a model that nobody serves"]
)
def test_nobody_is_chosen(pool: str, model: str) -> None:
    direct = _direct()
    assert direct.choose("default", "m") == "a"
    assert direct.choose(pool, model) == ""


def test_a_worker_that_is_not_named_or_not_ready_is_not_chosen() -> None:
    assert _direct(named=("b",)).choose("default", "m") == "b"
    assert _direct(_beat("a", state=WorkerState.DRAINING), _beat("b")).choose("default", "m") == "b"


def test_only_whom_all_schedulers_name_and_nobody_while_one_of_them_names_nobody() -> None:
    direct = _direct()
    direct.hear(DirectWorkers("s2", "default", ("b", "c")))
    assert direct.choose("default", "m") == "b"
    direct.hear(DirectWorkers("s2", "default", ()))
    assert direct.choose("default", "m") == ""


def test_a_word_ends_with_its_lease_and_takes_nobody_elses_with_it(watch: Watch) -> None:
    direct = _direct()
    direct.hear(DirectWorkers("s2", "default", ()))
    watch.now_s += DIRECT_LEASE_S / 2
    direct.hear(DirectWorkers("s1", "default", ("a",)))
    watch.now_s += DIRECT_LEASE_S / 2
    direct.hear(DirectWorkers("s1", "default", ("a",)))
    assert direct.choose("default", "m") == "a", "the scheduler that said no has fallen silent"
    watch.now_s += DIRECT_LEASE_S
    assert direct.choose("default", "m") == "", "so has the other"


def test_the_lease_is_looked_at_without_another_word(watch: Watch) -> None:
    direct = _direct()
    watch.now_s += DIRECT_LEASE_S - 0.01
    assert direct.choose("default", "m") == "a"
    watch.now_s += 0.01
    assert direct.choose("default", "m") == ""


def test_a_worker_that_was_turned_to_in_vain_is_avoided_for_a_while(watch: Watch) -> None:
    direct = _direct()
    direct.take("a")
    direct.give_back("a", in_vain=True)
    assert direct.choose("default", "m") == "b"
    watch.now_s += AVOIDED_S
    assert direct.choose("default", "m") == "a"


def test_without_the_bus_nothing_holds_that_was_said() -> None:
    direct = _direct()
    direct.clear()
    assert direct.choose("default", "m") == ""
