"""The queue: order, the share against starvation, nothing lost, nothing twice."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libs.contracts.inference import ServiceClass
from services.scheduler.domain.held import Held
from services.scheduler.domain.queue import CLASSES, SHARE_EVERY, WaitingQueue
from tests.unit.scheduler.builders import held

MODELS = ("a", "b", "c")


def _anywhere(model: str) -> str:
    return model


def _drain(queue: WaitingQueue) -> list[str]:
    taken = []
    while (match := queue.take(_anywhere)) is not None:
        taken.append(match[0].request_id)
    return taken


def test_class_goes_before_age_and_age_before_arrival() -> None:
    queue = WaitingQueue()
    queue.push(held("young", age=9))
    queue.push(held("batch", ServiceClass.BATCH, age=1))
    queue.push(held("old", age=2))
    queue.push(held("urgent", ServiceClass.REALTIME, age=10))
    queue.push(held("old too", age=2))
    assert _drain(queue) == ["urgent", "old", "old too", "young", "batch"]


def test_the_oldest_of_a_class_is_known_whether_it_can_run_or_not() -> None:
    queue = WaitingQueue()
    assert [queue.oldest_ms(one) for one in CLASSES] == [0] * len(CLASSES)
    queue.push(held("for nobody", age=3, model="nobody serves this"))
    queue.push(held("young", age=9))
    queue.push(held("batch", ServiceClass.BATCH, age=1))
    assert queue.take(lambda _: None) is None, "every lane sleeps"
    assert [queue.oldest_ms(one) for one in CLASSES] == [0, 3, 1]
    queue.remove("for nobody")
    assert queue.oldest_ms(ServiceClass.STANDARD) == 9


def test_a_request_that_returns_finds_its_old_place() -> None:
    queue = WaitingQueue()
    for name in "abc":
        queue.push(held(name, age=5))
    match = queue.take(_anywhere)
    assert match is not None
    assert match[0].request_id == "a"
    queue.push(match[0])
    assert _drain(queue) == ["a", "b", "c"]


def test_a_model_that_nobody_serves_is_in_nobodys_way() -> None:
    queue = WaitingQueue()
    for number in range(100):
        queue.push(held(f"lost{number}", ServiceClass.REALTIME, age=number, model="nowhere"))
    queue.push(held("served", ServiceClass.BATCH, age=999, model="here"))
    asked: list[str] = []

    def find(model: str) -> str | None:
        asked.append(model)
        return model if model == "here" else None

    match = queue.take(find)
    assert match is not None
    assert match[0].request_id == "served"
    assert asked == ["nowhere", "here"]
    assert queue.take(find) is None
    assert asked == ["nowhere", "here"], "what sleeps is not asked again"
    queue.wake({"other", "nowhere"})
    assert len(_drain(queue)) == 100


def test_a_lane_that_fell_asleep_and_became_empty_does_not_swallow_what_comes_later() -> None:
    queue = WaitingQueue()
    queue.push(held("first"))
    assert queue.take(lambda _: None) is None
    assert queue.remove("first") is not None
    queue.push(held("second"))
    assert _drain(queue) == ["second"]


def test_expired_requests_come_out_and_nothing_else() -> None:
    queue = WaitingQueue()
    for number in range(10):
        queue.push(held(f"r{number}", model=f"m{number % 3}", start_by_ms=number))
    assert [gone.request_id for gone in queue.expired(4)] == ["r0", "r1", "r2", "r3"]
    assert queue.expired(4) == []
    assert sorted(_drain(queue)) == [f"r{number}" for number in range(4, 10)]


def test_names_that_are_never_seen_again_cost_nothing() -> None:
    queue = WaitingQueue()
    for number in range(2_000):
        queue.push(held(f"r{number}", model=f"m{number}"))
        assert queue.take(lambda _: None) is None
        assert queue.remove(f"r{number}") is not None
    assert len(queue._lanes) <= 257
    assert not queue._asleep


@pytest.mark.parametrize("lower", [ServiceClass.STANDARD, ServiceClass.BATCH])
def test_a_lower_class_gets_every_sixteenth_turn_under_endless_load(lower: ServiceClass) -> None:
    queue = WaitingQueue()
    for number in range(10):
        queue.push(held(f"low{number}", lower, age=number))
    turns = []
    for turn in range(SHARE_EVERY * 10):
        queue.push(held(f"high{turn}", ServiceClass.REALTIME, age=turn))
        match = queue.take(_anywhere)
        assert match is not None
        turns.append(match[0].envelope.service_class)
    assert turns.count(lower) == 10
    assert all(turns[at] is lower for at in range(SHARE_EVERY - 1, len(turns), SHARE_EVERY))


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=150), st.integers(0, 15))
def test_nobody_waits_longer_than_the_share_allows(classes: list[ServiceClass], phase: int) -> None:
    """Behind k older requests of the lower classes, one is served within 16 (k + 1) turns of endless realtime load."""
    queue = WaitingQueue()
    for number in range(phase):
        queue.push(held(f"before{number}"))
        assert queue.take(_anywhere) is not None
    for age, service_class in enumerate(classes):
        queue.push(held(f"{age}", service_class, age=age))
    low = [str(age) for age, service_class in enumerate(classes) if service_class is not ServiceClass.REALTIME]
    served_at: dict[str, int] = {}
    for turn in range(1, SHARE_EVERY * (len(low) + 1) + 1):
        queue.push(held(f"flood{turn}", ServiceClass.REALTIME, age=1_000 + turn))
        match = queue.take(_anywhere)
        assert match is not None
        served_at[match[0].request_id] = turn
    for older, request_id in enumerate(low):
        assert served_at[request_id] <= SHARE_EVERY * (older + 1)


@dataclass
class _Naive:
    """The same promises, kept by sorting everything each time."""

    waiting: dict[str, Held] = field(default_factory=dict)
    turns: int = 0

    def take(self, runnable: set[str]) -> str | None:
        able = [one for one in self.waiting.values() if one.envelope.model in runnable]
        if not able:
            return None
        self.turns += 1
        able.sort(key=lambda one: (CLASSES.index(one.envelope.service_class), one.envelope.submitted_ms, one.arrival))
        best = able[0]
        lower = [one for one in able if one.envelope.service_class is not best.envelope.service_class]
        if self.turns % SHARE_EVERY == 0 and lower:
            best = min(lower, key=lambda one: (one.envelope.submitted_ms, one.arrival))
        del self.waiting[best.request_id]
        return best.request_id


class QueueMachine(RuleBasedStateMachine):
    """Drives the queue and the naive one alike; workers come and go meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WaitingQueue()
        self.naive = _Naive()
        self.runnable = {"a"}
        self.names = 0
        self.taken: list[Held] = []

    @rule(
        service_class=st.sampled_from(CLASSES),
        age=st.integers(0, 5),
        model=st.sampled_from(MODELS),
        start_by_ms=st.integers(0, 50),
    )
    def push(self, service_class: ServiceClass, age: int, model: str, start_by_ms: int) -> None:
        self.names += 1
        one = held(f"r{self.names}", service_class, age=age, model=model, start_by_ms=start_by_ms)
        self.queue.push(one)
        self.naive.waiting[one.request_id] = one

    @rule(count=st.integers(1, 20))
    def take(self, count: int) -> None:
        for _ in range(count):
            match = self.queue.take(lambda model: model if model in self.runnable else None)
            assert (match[0].request_id if match else None) == self.naive.take(self.runnable)
            if match is None:
                return
            assert match[0].envelope.model == match[1]
            self.taken.append(match[0])

    @rule(which=st.integers(0, 1_000))
    def return_one(self, which: int) -> None:
        if self.taken:
            one = self.taken.pop(which % len(self.taken))
            self.queue.push(one)
            self.naive.waiting[one.request_id] = one

    @rule(which=st.integers(1, 1_000))
    def remove(self, which: int) -> None:
        request_id = f"r{which % (self.names + 2)}"
        assert self.queue.remove(request_id) is self.naive.waiting.pop(request_id, None)

    @rule(now_ms=st.integers(0, 55))
    def expire(self, now_ms: int) -> None:
        gone = {one.request_id for one in self.queue.expired(now_ms)}
        assert gone == {name for name, one in self.naive.waiting.items() if one.envelope.start_by_ms < now_ms}
        for name in gone:
            del self.naive.waiting[name]

    @rule(model=st.sampled_from(MODELS))
    def model_becomes_runnable(self, model: str) -> None:
        self.runnable.add(model)
        if self.queue:
            self.queue.wake({model})

    @rule(model=st.sampled_from(MODELS))
    def model_stops_being_runnable(self, model: str) -> None:
        self.runnable.discard(model)

    @invariant()
    def same_contents(self) -> None:
        assert len(self.queue) == len(self.naive.waiting)
        assert all(name in self.queue for name in self.naive.waiting)
        for service_class in CLASSES:
            waiting = [one for one in self.naive.waiting.values() if one.envelope.service_class is service_class]
            assert self.queue.depth(service_class) == len(waiting)


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestQueueMachine = QueueMachine.TestCase
