"""The registry: credits never negative and never above capacity; the choice equals a naive one."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libs.contracts.inference import WorkerState
from services.scheduler.domain.workers import SETTLE_S, Registry, Worker
from tests.unit.scheduler.builders import beat

IDS = ("w1", "w2", "w3")
MODELS = ("m", "n")


def _registry(*ids: str, capacity: int = 2) -> Registry:
    registry = Registry(beat_timeout_s=3.0)
    for one in ids:
        registry.beat(beat(one, capacity), 0.0)
    return registry


def test_the_least_loaded_worker_is_chosen_then_the_first_id() -> None:
    registry = _registry("b", "a")
    order = []
    for number in range(4):
        worker = registry.choose("m")
        assert worker is not None
        order.append(worker.id)
        registry.assign(worker, (f"r{number}", 1), 0.0)
    assert order == ["a", "b", "a", "b"]
    assert registry.choose("m") is None
    assert registry.open_workers == 0


def test_load_is_relative_to_capacity() -> None:
    registry = Registry(beat_timeout_s=3.0)
    small, large = registry.beat(beat("a", 2), 0.0), registry.beat(beat("b", 100), 0.0)
    registry.assign(small, ("r", 1), 0.0)
    for number in range(40):
        registry.assign(large, (f"s{number}", 1), 0.0)
    assert registry.choose("m") is large


def test_a_resident_adapter_goes_before_load() -> None:
    registry = Registry(beat_timeout_s=3.0)
    registry.beat(beat("a", models=(("m", False),)), 0.0)
    holder = registry.beat(beat("b", models=(("m", True),)), 0.0)
    registry.assign(holder, ("r", 1), 0.0)
    assert registry.choose("m") is holder
    registry.assign(holder, ("s", 1), 0.0)
    chosen = registry.choose("m")
    assert chosen is not None
    assert chosen.id == "a"


def test_an_execution_missing_in_two_beats_gives_its_credit_back() -> None:
    registry = _registry("w")
    worker = registry.workers["w"]
    registry.assign(worker, ("r", 1), 10.0)
    registry.beat(beat("w"), 10.0 + SETTLE_S / 2)
    registry.beat(beat("w"), 10.0 + SETTLE_S * 2)
    assert worker.credits == 1, "the first of these two beats may have been said before the hand-over"
    registry.beat(beat("w", running=(("r", 1),)), 12.0)
    registry.beat(beat("w"), 13.0)
    assert worker.credits == 1
    registry.beat(beat("w"), 14.0)
    assert worker.credits == 2


def test_what_another_scheduler_handed_over_occupies_credits_too() -> None:
    registry = _registry("w")
    worker = registry.beat(beat("w", running=(("x", 7), ("y", 8))), 1.0)
    assert worker.credits == 0
    assert registry.choose("m") is None
    registry.release(worker, ("x", 7))
    assert registry.choose("m") is worker


@pytest.mark.parametrize("draining", [False, True])
def test_a_worker_that_refused_gets_nothing_until_it_is_heard(draining: bool) -> None:
    registry = _registry("w")
    worker = registry.workers["w"]
    registry.refused(worker, draining=draining)
    assert registry.choose("m") is None
    registry.beat(beat("w"), 1.0)
    assert registry.choose("m") is worker


def test_a_worker_that_does_not_answer_rests_longer_each_time_although_it_beats() -> None:
    registry = _registry("w")
    worker = registry.workers["w"]
    for now_s, rest_s in ((0.0, 1.0), (10.0, 2.0), (20.0, 4.0)):
        registry.unanswered(worker, now_s)
        registry.beat(beat("w"), now_s + 0.5)
        assert registry.choose("m") is None
        assert registry.end_rests(now_s + rest_s - 0.1) == []
        assert registry.end_rests(now_s + rest_s) == [worker]
        assert registry.choose("m") is worker
    registry.unanswered(worker, 30.0)
    registry.answered(worker)
    assert registry.choose("m") is worker


def test_silence_makes_a_suspect_and_a_beat_clears_it() -> None:
    registry = _registry("a", "b")
    registry.beat(beat("a"), 2.9)
    assert [worker.id for worker in registry.suspects(3.1)] == ["b"]
    registry.suspect(registry.workers["a"], 3.1)
    registry.beat(beat("b"), 3.2)
    assert [worker.id for worker in registry.suspects(3.3)] == ["a"]
    registry.forgive(100.0)
    assert registry.suspects(102.9) == []


class RegistryMachine(RuleBasedStateMachine):
    """Beats, hand-overs, releases and deaths in any order, beside a list that is searched each time."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(beat_timeout_s=3.0)
        self.now_s = 0.0
        self.number = 0

    @rule(
        worker=st.sampled_from(IDS),
        capacity=st.integers(0, 3),
        models=st.lists(st.tuples(st.sampled_from(MODELS), st.booleans()), unique_by=lambda pair: pair[0], max_size=2),
        state=st.sampled_from((WorkerState.READY, WorkerState.READY, WorkerState.DRAINING)),
        known=st.booleans(),
    )
    def beats(
        self, worker: str, capacity: int, models: list[tuple[str, bool]], state: WorkerState, known: bool
    ) -> None:
        present = self.registry.workers.get(worker)
        running = tuple(present.assigned) if known and present else (("elsewhere", self.number),)
        self.now_s += 1.0
        self.registry.beat(beat(worker, capacity, tuple(models), state, running), self.now_s)

    @rule(model=st.sampled_from(MODELS))
    def hands_over(self, model: str) -> None:
        chosen = self.registry.choose(model)
        assert chosen is self._naive_choice(model)
        if chosen is not None:
            self.number += 1
            self.registry.assign(chosen, (f"r{self.number}", 1), self.now_s)

    @rule(worker=st.sampled_from(IDS), which=st.integers(0, 5))
    def releases(self, worker: str, which: int) -> None:
        present = self.registry.workers.get(worker)
        if present is not None:
            known = [*present.assigned, ("never", 1)]
            self.registry.release(present, known[which % len(known)])

    @rule(worker=st.sampled_from(IDS), how=st.sampled_from(["remove", "refuse", "silence", "answer"]))
    def misbehaves(self, worker: str, how: str) -> None:
        present = self.registry.workers.get(worker)
        if present is None:
            assert self.registry.remove(worker) is None
        elif how == "remove":
            assert self.registry.remove(worker) is present
            assert worker not in self.registry.workers
        elif how == "refuse":
            self.registry.refused(present, draining=False)
        elif how == "silence":
            self.registry.unanswered(present, self.now_s)
        else:
            self.registry.answered(present)

    @rule()
    def rests_end(self) -> None:
        self.now_s += 2.0
        self.registry.end_rests(self.now_s)

    def _naive_choice(self, model: str) -> Worker | None:
        able = [
            worker
            for worker in self.registry.workers.values()
            if model in worker.models
            and worker.state is WorkerState.READY
            and worker.credits
            and not worker.full
            and not worker.rests_until_s
        ]
        return min(
            able,
            key=lambda one: (not one.models[model], len(one.assigned) / one.capacity, one.id),
            default=None,
        )

    @invariant()
    def credits_stay_between_none_and_capacity(self) -> None:
        for worker in self.registry.workers.values():
            assert 0 <= worker.credits <= worker.capacity

    @invariant()
    def counted_open_workers_are_the_open_ones(self) -> None:
        assert self.registry.open_workers == sum(worker.open for worker in self.registry.workers.values())


RegistryMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestRegistryMachine = RegistryMachine.TestCase
